"""Runs checks of ``netwatch doctor`` over a configuration, and compares trees of files."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from netwatch.cli.doctor.finding import Finding


def findings(
    check: Callable[[argparse.Namespace], Iterator[Finding]], folder: Path, text: str
) -> list[Finding]:
    """What a check finds with ``netwatch.yaml`` in a folder, which is `text` below its version."""
    path = folder / "netwatch.yaml"
    path.write_text(f"version: 1\n{text}")
    return list(check(argparse.Namespace(config=str(path), interface=[], paths=[])))


def brief(found: list[Finding]) -> list[str]:
    """Findings as their level and subject."""
    return [f"{each.level} {each.subject}" for each in found]


def of(found: list[Finding], subject: str) -> Finding:
    """The one finding on a subject."""
    (one,) = (each for each in found if each.subject == subject)
    return one


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
