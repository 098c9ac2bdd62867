"""Runs commands of netwatch one after the other in one process, as a test asks for in JSON.

The argument is a JSON file: a list of commands, each a name and its arguments, among which ``ID``
is the id of the first alert in ``alerts.jsonl``. What a command prints goes to ``NAME.out`` and
``NAME.err``, its exit status to ``NAME.status``; at the end the modules of netwatch that the
commands imported before the last are in ``modules``.
"""

import json
import os
import sys
from pathlib import Path


def run(name: str, arguments: list[str]) -> None:
    """Run one command."""
    from netwatch.cli import main

    for number, suffix in ((1, "out"), (2, "err")):
        descriptor = os.open(f"{name}.{suffix}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    status: object
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = stop.code
    sys.stdout.flush()
    sys.stderr.flush()
    Path(f"{name}.status").write_text(f"{status}\n")


if __name__ == "__main__":
    modules: list[str] = []
    for each, words in json.loads(Path(sys.argv[1]).read_text()):
        if "ID" in words:
            with Path("alerts.jsonl").open() as alerts:
                identity = json.loads(alerts.readline())["id"]
            words = [identity if word == "ID" else word for word in words]
        if not each.startswith("no-"):  # those only say that they cannot run
            modules = sorted(name for name in sys.modules if name.startswith("netwatch."))
        run(each, words)
    Path("modules").write_text("\n".join(modules) + "\n")
