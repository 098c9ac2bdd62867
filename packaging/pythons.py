"""Finds the Pythons on this machine that netwatch runs on: those on PATH, and those of pyenv.

A Python counts if it starts, can make virtual environments, and has the headers for modules in C:
what a version manager puts on PATH may refuse to run, and distributions package the rest apart.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, PIPE

OLDEST, NEWEST = 11, 14
"""The minor versions of Python 3 that netwatch supports."""

_USABLE = (
    "import ensurepip, os, sys, sysconfig, venv; print(sys.executable);"
    "sys.exit(not os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h')))"
)


def versions() -> list[str]:
    """The versions that netwatch supports, such as ``3.11``."""
    return [f"3.{minor}" for minor in range(OLDEST, NEWEST + 1)]


def find_pythons() -> dict[str, str]:
    """The path of a usable Python for each version that is here, the oldest first."""
    found = {}
    for version in versions():
        path = next(filter(None, map(executable, _candidates(version))), "")
        if path:
            found[version] = path
    return found


def missing(found: dict[str, str]) -> list[str]:
    """The versions that are not here."""
    return [version for version in versions() if version not in found]


def executable(python: str) -> str:
    """The program that a command of Python starts, which may be one of a version manager; empty
    where it does not start, or lacks what is needed."""
    done = subprocess.run([python, "-c", _USABLE], stdout=PIPE, stderr=DEVNULL, check=False)
    return "" if done.returncode else done.stdout.decode().strip()


def _candidates(version: str) -> Iterator[str]:
    """The paths at which a version may be, best first."""
    if sys.version.startswith(f"{version}."):
        # Of a virtual environment, the Python that it was made with.
        yield str(Path(sys.base_prefix, "bin", f"python{version}"))
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = Path(folder, f"python{version}")
        if folder and os.access(path, os.X_OK):
            yield str(path)
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    installed = root.glob(f"versions/{version}.*/bin/python{version}")
    yield from map(str, sorted(installed, key=_patch, reverse=True))


def _patch(path: Path) -> tuple[int, ...]:
    """The numbers in the version of a Python of pyenv."""
    return tuple(int(part) for part in path.parts[-3].split(".") if part.isdigit())
