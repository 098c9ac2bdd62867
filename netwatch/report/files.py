"""The files of a report beside its page: the JSON record, ``netwatch.report/1``, which has its
values under the same names, and PDF/UA, from the same HTML, by a process with limits on time and
memory.

That process is ``python -m netwatch.report.files OUTPUT SECONDS BYTES``.

It reads a line of JSON from standard input, the HTML and the attachments, and writes a PDF/UA file.
The library keeps memory between documents, and takes minutes where a table is long, so it has a
process of its own with limits on both. Nothing is loaded from anywhere.
"""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.installing import install_command
from netwatch.core.system.processes import limit_memory, limit_seconds
from netwatch.report.values import Missing, Report

SCHEMA = "netwatch.report/1"
"""The schema of the record, with its version."""

NO_LIBRARY = 3
"""The exit status where the libraries of the system are missing."""

TIME_LIMIT = 300
"""Seconds that a PDF may take."""

MEMORY_LIMIT = 2 << 30
"""Bytes of address space of the process that makes a PDF."""

_WORKER = [sys.executable, "-P", "-m", "netwatch.report.files"]
_PANGO = (
    "a PDF needs the library Pango: apt install libpango-1.0-0 libpangoft2-1.0-0"
    " (or dnf install pango, brew install pango); HTML and JSON do not"
)


def record(report: Report) -> dict[str, Any]:
    """The record of a report."""
    return {"schema": SCHEMA, **_plain(report)}


def report_json(report: Report) -> str:
    """The record as text that is ASCII only: names of senders can do no harm when printed.
    The same report gives the same text."""
    return json.dumps(record(report), indent=1, ensure_ascii=True) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Missing):
        times = {"from": value.begin, "until": value.end}
        return {**times, "network": value.network, "reason": value.reason,
                "command": value.command}  # fmt: skip
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return round(value, 6) if isinstance(value, float) else value


def main() -> int:
    """Make the file; the exit status."""
    output, seconds, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    limit_seconds(seconds)
    limit_memory(size)
    request = json.load(sys.stdin)
    try:
        import weasyprint
        from weasyprint.urls import URLFetcher
    except OSError as error:
        print(error, file=sys.stderr)
        return NO_LIBRARY
    attachments = [
        weasyprint.Attachment(string=text, name=name, description=name, relationship="Data")
        for name, text in request["attachments"].items()
    ]
    # A report refers to nothing outside of itself.
    nothing = URLFetcher(allowed_protocols=())
    document = weasyprint.HTML(string=request["html"], url_fetcher=nothing, base_url=None)
    document.write_pdf(output, pdf_variant="pdf/ua-1", attachments=attachments)
    return 0


def require_weasyprint(command: str) -> None:
    """Raise `ConfigError` if the library is not installed."""
    if importlib.util.find_spec("weasyprint") is None:
        message = f"a report as PDF needs an extra: {install_command('report')}"
        raise ConfigError([Problem(command, 0, 0, message)])


def write_pdf(html: str, attachments: Mapping[str, str], output: Path) -> None:
    """Write a PDF with files attached to it (name and text). Raises `NetwatchError` if that
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
        raise NetwatchError(f"{output}: the PDF needs more time or memory than it may use")
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise NetwatchError(f"{output}: the PDF could not be made: {last}")


if __name__ == "__main__":
    sys.exit(main())
