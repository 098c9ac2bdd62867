"""Commands as a terminal shows them, with what they print on the sample captures.

The arguments of a part are the command, run by ``sh`` in the root of the repository, and behind
the last `` | `` the lines of its output that are shown: ``1-4 9 -3--1`` (from 1; negative from the
end), or ``all``. What is left out is shown as ``…``. Timings are replaced by a fixed one.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from docs_generator.pages import ROOT

LEFT_OUT = "…"
_SPAN = re.compile(r"(-?\d+)(?:-(-?\d+))?")
_SECONDS = re.compile(r"\bin \d+\.\d\d s\b")
_INTERPRETED = "netwatch: the packet loop "


def block(arguments: str) -> str:
    """The command and the lines of its output that the arguments select."""
    command, _, selected = arguments.rpartition(" | ")
    lines = output(command)
    return "\n".join(["```console", f"$ {command}", *choose(lines, selected), "```"])


def output(command: str) -> list[str]:
    """What a command writes, standard error after standard output, without timings.

    Raises `ValueError` if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "netwatch"
        run.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m netwatch "$@"\n')
        run.chmod(0o755)
        environment = {
            **os.environ,
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "PYTHONIOENCODING": "utf-8",
            "COLUMNS": "120",
        }
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
    if done.returncode:
        raise ValueError(f"{command!r} exits with {done.returncode}: {done.stderr.strip()}")
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    return [
        _SECONDS.sub("in 0.10 s", line.rstrip())
        for line in lines
        if not line.startswith(_INTERPRETED)
    ]


def choose(lines: list[str], selected: str) -> list[str]:
    """The selected lines, with `LEFT_OUT` where some are missing."""
    if selected == "all":
        return lines
    shown: list[str] = []
    behind = 0
    for span in selected.split():
        found = _SPAN.fullmatch(span)
        if found is None:
            raise ValueError(f"{span!r} is not a span of lines")
        first, last = (
            int(number) + (len(lines) + 1 if int(number) < 0 else 0)
            for number in (found[1], found[2] or found[1])
        )
        if not behind < first <= last <= len(lines):
            raise ValueError(f"{span!r} does not fit {len(lines)} lines: {lines}")
        if first > behind + 1:
            shown.append(LEFT_OUT)
        shown += lines[first - 1 : last]
        behind = last
    return shown if behind == len(lines) else [*shown, LEFT_OUT]
