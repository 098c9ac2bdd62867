"""The report as PDF/UA, from the same HTML, by a process with limits on time and memory."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.installing import install_command
from netwatch.report.pdf_worker import NO_LIBRARY

TIME_LIMIT = 300
"""Seconds that a PDF may take."""

MEMORY_LIMIT = 2 << 30
"""Bytes of address space of the process that makes a PDF."""

_WORKER = [sys.executable, "-P", "-m", "netwatch.report.pdf_worker"]
_PANGO = (
    "a PDF needs the library Pango: apt install libpango-1.0-0 libpangoft2-1.0-0"
    " (or dnf install pango, brew install pango); HTML and JSON do not"
)


def require_weasyprint(command: str) -> None:
    """Raise `ConfigError` where the library is not installed."""
    if importlib.util.find_spec("weasyprint") is None:
        message = f"a report as PDF needs an extra: {install_command('report')}"
        raise ConfigError([Problem(command, 0, 0, message)])


def write_pdf(html: str, attachments: Mapping[str, str], output: Path) -> None:
    """Write a PDF with files attached to it (name and text). Raises `NetwatchError` where that
    takes too long or too much memory, or fails otherwise."""
    request = json.dumps({"html": html, "attachments": dict(attachments)})
    limits = [str(output), str(TIME_LIMIT), str(MEMORY_LIMIT)]
    try:
        done = subprocess.run(
            [*_WORKER, *limits],
            input=request.encode(),
            capture_output=True,
            timeout=TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NetwatchError(f"{output}: no PDF within {TIME_LIMIT} s") from None
    if done.returncode == NO_LIBRARY:
        raise NetwatchError(_PANGO)
    if done.returncode < 0 or b"MemoryError" in done.stderr:
        raise NetwatchError(f"{output}: the PDF needs more time or memory than it may take")
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise NetwatchError(f"{output}: the PDF could not be made: {last}")
