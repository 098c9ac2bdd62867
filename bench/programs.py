"""Sections that are programs of their own, which write their tables themselves."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from captures import BENCH
from compare import Options, progress
from netwatch_only import MeasurementError
from shared import ROOT


def program(name: str, *words: str) -> Callable[[Options], dict[str, Any]]:
    """The function that runs ``bench/NAME.py`` with some words, and with ``--write`` where the run
    has it. It raises `MeasurementError` if the program fails."""

    def section(options: Options) -> dict[str, Any]:
        progress(f"{name}: {' '.join(words)}")
        command = [sys.executable, str(BENCH / f"{name}.py"), *words]
        command += ["--write"] if options.write else []
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, timeout=options.timeout
        )
        if done.returncode:
            raise MeasurementError(done.stderr.strip().rpartition("\n")[2])
        return {"text": done.stdout.strip()}

    return section


def text(found: dict[str, Any]) -> str:
    """What the program said."""
    return str(found["text"])
