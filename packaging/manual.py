"""Writes the man pages and the completions of shells into a folder, for packages of systems.

    python packaging/manual.py OUT

writes OUT/man/man1/netwatch.1 with a page for each command beside it, OUT/man/man5/netwatch.yaml.5,
OUT/bash/netwatch, OUT/zsh/_netwatch and OUT/fish/netwatch.fish. netwatch has to be installed
(`pip install .`, in the checkout). The pages have the day of SOURCE_DATE_EPOCH, else today's, and
the same day gives the same bytes.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

try:
    from manual_generator import commands, configuration

    from netwatch.cli import completion
except ModuleNotFoundError as error:
    todo = f"{sys.executable} -m pip install ."
    sys.exit(f"manual: {error.name} is not installed; try: {todo}")

COMPLETIONS = {"bash": "bash/netwatch", "zsh": "zsh/_netwatch", "fish": "fish/netwatch.fish"}
"""Where the completions of each shell are written, in the place and by the name it loads."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write everything, and print nothing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, metavar="OUT", help="the folder, which is created")
    args = parser.parse_args(arguments)
    for name, text in manual(_day()).items():
        path: Path = args.output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def manual(day: str) -> dict[str, str]:
    """Every file by its path in the folder; pages have this day (YYYY-MM-DD)."""
    pages = {f"man/man1/{name}": text for name, text in commands.pages(day).items()}
    pages["man/man5/netwatch.yaml.5"] = configuration.page(day)
    return {**pages, **{path: completion.script(shell) for shell, path in COMPLETIONS.items()}}


def _day() -> str:
    moment = float(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


if __name__ == "__main__":
    main()
