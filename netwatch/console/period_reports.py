"""Reports on a period for pages: collected beside the pages, and kept for a while.

To collect a report reads every incident of its period. A page that shows parts of one gets the last
one at once, and while nothing in the store changes no newer one is collected. The first report of a
period is waited for, but not for long: then a page says that it is being made, and is loaded again.

Small reports are collected in a thread. To collect one of many incidents takes seconds of computing
and much memory, and Python computes in one thread at a time: in the process of the console every
page would wait. So a large one has a process of its own, ``python -m
netwatch.console.period_reports``, which yields to the console and gives its memory back when it
ends. It reads a `Request` from standard input, and answers on standard output: a `Report` without
its list of incidents (both pickled, by the same program), or the bytes of a file.

A report is a file to download: HTML, PDF/UA or JSON.
"""

import os
import pickle
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLongError
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from netwatch.charts.render import Renderer
from netwatch.config import Config
from netwatch.console.database import with_audit
from netwatch.console.view import View
from netwatch.core.errors import NetwatchError
from netwatch.core.period import UTC_ZONE, day_at
from netwatch.core.private_files import PrivateFolder, below
from netwatch.core.system.kernel import yield_to_others
from netwatch.core.text import escaped
from netwatch.report import page as report_page
from netwatch.report.collect import Wanted, collect, common_timezone
from netwatch.report.files import report_json, write_pdf
from netwatch.report.tables import files
from netwatch.report.values import Report
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.incident_pages import IncidentFilter, incident_counts
from netwatch.store.incident_rows import DAY
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

MEMORY_LIMIT = 4 << 30
"""Bytes of memory that a report may take."""

NICE = 10
"""How much the process yields to that of the console."""

KEPT_SECONDS = 60.0
"""How long a report is shown again without a look at whether the store has changed."""

OLDEST_SECONDS = 900.0
"""How old a report may be that is shown while a newer one is collected. While a run goes on,
incidents change in ways that their counts do not show, so that after this time a newer one is
collected anyway."""

KEPT = 16
"""Reports that are kept, without their incidents."""

WAIT_SECONDS = 0.2
"""How long a page waits for the first report of a period, before it says that it is being made."""

SMALL = 5000
"""Incidents of a report, and of the period before it, that are collected in a thread."""

TIME_LIMIT = 540.0
"""Seconds that the process of a large report may take."""

DAYS = 30
"""Days of a page whose address has none, up to the day of the last capture."""

_WORKER = [sys.executable, "-P", "-m", "netwatch.console.period_reports"]
_PIECE = 1 << 16


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
        write_pdf(html, files(made.all_grids), path)
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


def _answer_to(request: Request) -> bytes:
    """The answer to a request. Raises `NetwatchError`."""
    with below(request.store.path):
        with open_catalogue(request.store) as catalogue:
            report = collect(catalogue, request.config, request.wanted, request.store)
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
        content = _answer_to(request)
    except NetwatchError as error:
        _say(" ".join(str(error).split()))
        return 1
    except MemoryError:
        _say(f"the report needs more than {MEMORY_LIMIT >> 30} GB of memory")
        return 1
    with answers:
        answers.write(content)
    return 0


@dataclass(frozen=True, slots=True)
class _Kept:
    """A report, the state of the store before it was collected, and when that was (monotonic s);
    `checked` is when the state was last seen to be the same."""

    report: Report
    state: Any
    made: float
    checked: float


class PeriodReports:
    """Collects reports, one for pages at a time, for any number of threads."""

    def __init__(self, catalogue: Catalogue, store: StoreOptions, config: Config) -> None:
        self._catalogue = catalogue
        self._store = store
        self._config = config
        self._lock = threading.Lock()
        self._known: OrderedDict[Wanted, _Kept] = OrderedDict()
        self._coming: dict[Wanted, Future[Report]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="reports")
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._is_closed = False

    def close(self) -> None:
        """End what is being collected."""
        with self._lock:
            self._is_closed = True
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in self._processes:
                process.kill()
        self._pool.shutdown()

    def warm(self, now: int) -> None:
        """Begin to collect the reports of the pages whose address has no period. Raises
        `NetwatchError`."""
        bans = self._config.policy.bans
        pages = [
            *(((ban.id,), common_timezone([ban])) for ban in bans),
            ((), common_timezone(bans)),
        ]
        for ids, zone in pages[: KEPT // 2]:
            last = last_day(self._catalogue, now, zone)
            self._coming_to(Wanted(last - timedelta(days=DAYS - 1), last, ids))

    def shown(self, wanted: Wanted) -> Report | None:
        """A report for a page, without its list of incidents; None while the first one is still
        being collected. Raises `ConfigError` for a ban that there is not, and `NetwatchError`."""
        kept = self._kept(wanted)
        now = time.monotonic()
        if kept is not None and (
            now - kept.checked <= KEPT_SECONDS or self._is_current(wanted, kept, now)
        ):
            return kept.report
        coming = self._coming_to(wanted)
        if kept is not None and now - kept.made <= OLDEST_SECONDS:
            return kept.report
        try:
            return coming.result(WAIT_SECONDS)
        except WaitedTooLongError:
            return None

    def _is_current(self, wanted: Wanted, kept: _Kept, now: float) -> bool:
        """Whether nothing has changed since a report was collected."""
        if self._state(wanted) != kept.state:
            return False
        with self._lock:
            if self._known.get(wanted) is kept:
                self._known[wanted] = replace(kept, checked=now)
        return True

    def _coming_to(self, wanted: Wanted) -> Future[Report]:
        """The report that is being collected; one that nobody collects is begun."""
        with self._lock:
            coming = self._coming.get(wanted)
            if self._is_closed:
                raise NetwatchError("the console is ending")
            if coming is None:
                coming = self._coming[wanted] = self._pool.submit(self._collect, wanted)
            return coming

    def _kept(self, wanted: Wanted) -> _Kept | None:
        """The last report."""
        with self._lock:
            if wanted in self._known:
                self._known.move_to_end(wanted)
            return self._known.get(wanted)

    def _state(self, wanted: Wanted) -> Any:
        """What a report on a period is made from, in numbers: as long as they are the same, so is
        the report."""
        found = incident_counts(self._catalogue, _incidents(wanted), ["verdict", "status"])
        run, capture, journal = tables.run.c, tables.capture.c, tables.journal.c
        covered = tables.coverage_network.c
        with self._catalogue.database.reading() as connection:
            numbers = [
                connection.execute(statement).one()
                for statement in (
                    select(func.max(run.id), func.count(run.ended)),
                    select(func.max(capture.id), func.max(capture.last), func.count(capture.last)),
                    select(func.max(journal.id)),
                    select(func.max(covered.last)),
                )
            ]
            is_open = connection.execute(select(run.id).where(run.ended.is_(None)).limit(1)).first()
        part = time.monotonic() // OLDEST_SECONDS if is_open else 0
        return found, [tuple(number) for number in numbers], part

    def _collect(self, wanted: Wanted) -> Report:
        # No page shows the blind spots of devices; the files do.
        shown = replace(wanted, counts_devices=False)
        try:
            begun, state = time.monotonic(), self._state(wanted)
            if self._is_small(wanted):
                report = without_incidents(collect(self._catalogue, self._config, shown))
            else:
                content = b"".join(self._made_elsewhere(self._request(shown)))
                report = pickle.loads(content)
            with self._lock:
                self._known[wanted] = _Kept(report, state, begun, begun)
                self._known.move_to_end(wanted)
                if len(self._known) > KEPT:
                    self._known.popitem(last=False)
        finally:
            with self._lock:
                self._coming.pop(wanted, None)
        return report

    def file(self, wanted: Wanted, kind: str, view: View) -> Iterator[bytes]:
        """A report as a file, in pieces. Raises `NetwatchError`."""
        # Days are judged by the maintenance of the store: for somebody who waits it takes too long.
        wanted = replace(wanted, judges_days=False)
        code, renderer, note = view.language.code, view.console.renderer, view.console.report
        if self._is_small(wanted):
            made = collect(self._catalogue, self._config, wanted, self._store)
            report = replace(made, audit=view.console.audit.head())
            yield report_file(report, kind, code, renderer, note)
        else:
            yield from self._made_elsewhere(self._request(wanted, kind, code))

    def _is_small(self, wanted: Wanted) -> bool:
        """Whether so few incidents have to be read that a page does not notice."""
        counts = incident_counts(self._catalogue, _incidents(wanted), ["verdict"])
        return sum(counts.values()) <= SMALL

    def _request(self, wanted: Wanted, kind: str = "", language: str = "en") -> bytes:
        return pickle.dumps(Request(self._store, self._config, wanted, kind, language))

    def _made_elsewhere(self, request: bytes) -> Iterator[bytes]:
        """What a process of its own answers to a request, in pieces."""
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                _WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            ) as process,
        ):
            timer = threading.Timer(TIME_LIMIT, process.kill)
            timer.daemon = True
            timer.start()
            try:
                self._begun(process)
                yield from _answer(process, request)
                process.wait()
            finally:
                process.kill()
                timer.cancel()
                with self._lock:
                    self._processes.discard(process)
            if process.returncode:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
                reason = said or f"status {process.returncode}"
                raise NetwatchError(f"a report could not be made: {reason}")

    def _begun(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._processes.add(process)
            if self._is_closed:
                process.kill()


def _answer(process: subprocess.Popen[bytes], request: bytes) -> Iterator[bytes]:
    assert process.stdin
    assert process.stdout
    try:
        process.stdin.write(request)
        process.stdin.close()
    except BrokenPipeError:
        return  # It has ended, and its exit status says so.
    while piece := process.stdout.read(_PIECE):
        yield piece


def _incidents(wanted: Wanted) -> IncidentFilter:
    """The incidents that are read for a report: those of its days, and of as many days before."""
    days = (wanted.last - wanted.first).days + 1
    first = midnight(wanted.first) - days * DAY
    return IncidentFilter(since=max(0, first), until=midnight(wanted.last) + DAY)


def last_day(catalogue: Catalogue, now: int, zone: str) -> date:
    """The day of the last capture in a time zone, of the last incident if there is none (in
    UTC), or today."""
    with catalogue.database.reading() as connection:
        # Older releases stored the times of a sensor whose clock was years ahead.
        column = tables.capture.c.last
        last = connection.execute(select(func.max(column)).where(column < now + DAY)).scalar()
        if last is None:
            day = connection.execute(select(func.max(tables.incident_day.c.day))).scalar()
            if day is not None:
                return day_at(day * DAY, UTC_ZONE)  # such days are those of UTC
    return day_at(now if last is None else int(last), zone)


def midnight(day: date) -> int:
    """The begin of a day in UTC, in ns since the epoch."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000_000


if __name__ == "__main__":
    sys.exit(main())
