"""The process that makes a large report: ``python -m netwatch.console.report_worker``.

To collect a report of many incidents takes seconds of computing and much memory, and Python
computes in one thread at a time: in the process of the console every page would wait. So it has a
process of its own, which yields to the console and gives its memory back when it ends. It reads a
`Request` from standard input, and answers on standard output: a `Report` without its list of
incidents (both pickled, by the same program), or the bytes of a file.

A report is a file to download: HTML, PDF/UA or JSON.
"""

import os
import pickle
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from netwatch.charts.render import Renderer
from netwatch.config import Config
from netwatch.console.erasing import with_audit
from netwatch.core.errors import NetwatchError
from netwatch.core.private_files import PrivateFolder, below
from netwatch.core.system.processes import yield_to_others
from netwatch.core.text import escaped
from netwatch.report import page as report_page
from netwatch.report import tables
from netwatch.report.collect import Wanted, collect
from netwatch.report.files import report_json, write_pdf
from netwatch.report.values import Report
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

MEMORY_LIMIT = 4 << 30
"""Bytes of memory that a report may take."""

NICE = 10
"""How much the process yields to that of the console."""


def report_file(
    report: Report, kind: str, code: str, renderer: Renderer, note: Callable[[str], None]
) -> bytes:
    """A report as ``html``, ``pdf`` or ``json``, in the language of a code. Of pictures that cannot
    be rendered only the table is there, and `note` takes the reason. Raises `NetwatchError`."""
    if kind == "json":
        return report_json(report).encode()
    made = report_page.page(report, report_page.report_language(code), renderer, note)
    html = report_page.html(made)
    if kind == "html":
        return html.encode()
    with PrivateFolder() as folder:
        path = folder / "report.pdf"
        write_pdf(html, tables.files(made.all_grids), path)
        return path.read_bytes()


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: a report on a store; `kind` is that of a file, empty for the report
    itself, and `language` the code of its language."""

    store: StoreOptions
    config: Config
    wanted: Wanted
    kind: str = ""
    language: str = "en"


def without_incidents(report: Report) -> Report:
    """A report without its list of incidents, which pages do not show and which is most of it."""
    return replace(report, bans=tuple(replace(ban, incidents=()) for ban in report.bans))


def answer(request: Request) -> bytes:
    """The answer to a request. Raises `NetwatchError`."""
    with below(request.store.path):
        with open_catalogue(request.store) as catalogue:
            report = collect(catalogue, request.config, request.wanted)
        if not request.kind:
            return pickle.dumps(without_incidents(report))
        report = with_audit(report, request.store)
        with Renderer() as renderer:
            return report_file(report, request.kind, request.language, renderer, _say)


def _say(text: str) -> None:
    sys.stderr.write(f"{escaped(text)}\n")


def main() -> int:
    """Answer one request; exit status 1 where that is not possible, with the reason as the last
    line of standard error."""
    yield_to_others(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    request: Request = pickle.load(sys.stdin.buffer)
    try:
        content = answer(request)
    except NetwatchError as error:
        _say(" ".join(str(error).split()))
        return 1
    except MemoryError:
        _say(f"the report needs more than {MEMORY_LIMIT >> 30} GB of memory")
        return 1
    with answers:
        answers.write(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
