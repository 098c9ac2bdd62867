"""``python -m sample_console``: fills a store, adds an account for each role, serves the console.

Everything is in one folder, which only its owner may enter. A second run serves what is there; a
folder that was not completed is made anew. To begin again, remove the folder.
"""

import argparse
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from netwatch.config.console_section import ROLES

ROOT = Path(__file__).resolve().parents[2]
CAPTURES = Path("pcaps")
"""Relative to the root, as the records name them."""

CONFIGURATION = CAPTURES / "netwatch.yaml"

PERIOD = ("2023-03-06", "2023-04-02")
"""The first and the last day of the report: four weeks, in which the sample captures lie."""

FIRST_PAGE = {
    "admin": "how things are now",
    "analyst": "incidents, devices, packets",
    "auditor": "whether bans were kept; pseudonyms",
    "dpo": "who looked at whom, and why",
}


def main() -> None:
    """Run the command; it ends when the console does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8477", metavar="ADDRESS:PORT")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/console", metavar="FOLDER")
    args = parser.parse_args()
    folder = args.folder.resolve()
    if not (folder / "complete").exists():
        passwords = fill(folder)
        (folder / "complete").touch()
        show(folder, passwords)
    else:
        print(f"The store, the report and the accounts of before are used: {folder}")
        print(f"To begin again, with new passwords: rm -r '{folder}'")
    sys.stdout.flush()
    serve = netwatch("serve", "-c", CONFIGURATION, "--store-path", folder / "store",
                     "--listen", args.listen)  # fmt: skip
    os.chdir(ROOT)
    os.execv(serve[0], serve)


def netwatch(*arguments: str | Path) -> list[str]:
    """The command line of a command of this installation."""
    return [sys.executable, "-m", "netwatch", *map(str, arguments)]


def fill(folder: Path) -> dict[str, str]:
    """Make the store, the report and the accounts; returns the password of each role."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700, parents=True)
    store = folder / "store"
    print("Reading the sample captures …", flush=True)
    run("scan", "--quiet", "-c", CONFIGURATION, "--store-path", store,
        "--evidence", folder / "evidence", "--coverage", CAPTURES)  # fmt: skip
    print("Writing the report …", flush=True)
    run("report", "-c", CONFIGURATION, "--store-path", store, "--from", PERIOD[0],
        "--to", PERIOD[1], "-o", folder / "report.html")  # fmt: skip
    passwords = {}
    for role in ROLES:
        passwords[role] = secrets.token_urlsafe(12)
        run("users", "add", role, "--role", role, "--password-stdin", "--store-path", store,
            given=passwords[role])  # fmt: skip
    return passwords


def run(*arguments: str | Path, given: str = "") -> None:
    """Run a command of netwatch, and end with its output if it fails."""
    done = subprocess.run(
        netwatch(*arguments), input=given, capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode:
        sys.exit(f"netwatch {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")


def show(folder: Path, passwords: dict[str, str]) -> None:
    """Say what there is, and the passwords, which are kept nowhere."""
    print(f"\nStore     {folder / 'store'}\nPackets   {folder / 'evidence'}")
    print(f"Report    {folder / 'report.html'}\n")
    print("ACCOUNT  PASSWORD          SEES")
    for role, password in passwords.items():
        print(f"{role:<9}{password:<18}{FIRST_PAGE[role]}")
    print("\nThe passwords are shown this once.\n")


if __name__ == "__main__":
    main()
