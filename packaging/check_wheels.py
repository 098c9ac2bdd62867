"""Installs each wheel that `make wheels` built, and lets it scan the sample captures.

Each wheel goes into a new virtual environment of the Python that it is for, with what it depends on
from the package index and nothing else; no compiler is found there. All must print the same, and
say whether they are interpreted. It says how long installation and scan took.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pythons import find_pythons, missing

ROOT = Path(__file__).resolve().parents[1]

_COMPILED = re.compile(r"netwatch_bans-[^-]+-cp3(\d+)-cp3\d+-")


class CheckError(Exception):
    """A wheel does not do what it should; the text says which and why."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the wheels of a folder; exit status 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "build" / "wheels")
    args = parser.parse_args(arguments)
    try:
        check(args.folder)
    except CheckError as error:
        sys.exit(f"check_wheels: {error}")


def check(folder: Path) -> None:
    """Check the wheels of a folder. Raises `CheckError`."""
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise CheckError(f"{folder} has no wheel: make wheels")
    found = find_pythons()
    for version in missing(found):
        print(f"Python {version} is not installed here: no wheel of it is checked", flush=True)
    expected: bytes | None = None
    for wheel in wheels:
        match = _COMPILED.match(wheel.name)
        version = f"3.{match[1]}" if match else next(iter(found))
        if version not in found:
            raise CheckError(f"{wheel.name}: Python {version} is not installed here")
        printed = run_wheel(wheel, found[version], is_compiled=match is not None)
        if expected is not None and printed != expected:
            raise CheckError(f"{wheel.name} prints something else than {wheels[0].name}")
        expected = printed


def run_wheel(wheel: Path, python: str, *, is_compiled: bool) -> bytes:
    """What a wheel prints of the sample captures, installed with a Python. Raises `CheckError`."""
    with tempfile.TemporaryDirectory(prefix="netwatch-check-") as name:
        installed = Path(name, "installed")
        _run([python, "-m", "venv", str(installed)], name)
        began = time.monotonic()
        pip = [str(installed / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        _run([*pip, "--disable-pip-version-check", "--no-compile", str(wheel)], name)
        between = time.monotonic()
        pcaps = ROOT / "pcaps"
        scan = ["scan", "-c", str(pcaps / "netwatch.yaml"), "--format", "jsonl", str(pcaps)]
        done = _run([str(installed / "bin" / "netwatch"), *scan], name)
        ended = time.monotonic()
        page = installed / "share" / "man" / "man1" / "netwatch.1"
        if not page.is_file():
            raise CheckError(f"{wheel.name} has no man pages")
    if (b"interpreted" in done.stderr) == is_compiled:
        raise CheckError(f"{wheel.name} is {'not ' if is_compiled else ''}compiled")
    if not done.stdout:
        raise CheckError(f"{wheel.name} finds nothing in the sample captures")
    alerts = done.stdout.count(b"\n")
    times = f"installed in {between - began:.1f} s, {alerts} alerts in {ended - between:.1f} s"
    print(f"{wheel.name}: {times}", flush=True)
    return done.stdout


def _run(command: Sequence[str], folder: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command in a folder, where no source is imported. Raises `CheckError`."""
    # A wheel must not need a compiler, and must not read what the user has configured.
    environment = {**os.environ, "CC": "false", "NETWATCH_CACHE": "off"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    if done.returncode:
        text = done.stderr.decode(errors="replace")
        raise CheckError(f"{' '.join(command)}\n{text}")
    return done


if __name__ == "__main__":
    main()
