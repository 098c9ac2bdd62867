"""Reports on a period for pages: collected beside the pages, kept for a while; the days of an
address.

To collect a report reads every incident of its period. A page that shows parts of one gets the last
one at once, while a newer one is collected; only the first one of a period is waited for. Small
reports are collected in a thread, large ones in a process of their own
(`netwatch.console.report_worker`).
"""

import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLongError
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from netwatch.console.answers import Refused, bad_request
from netwatch.console.report_files import report_file
from netwatch.console.report_worker import Request, without_incidents
from netwatch.console.view import View
from netwatch.core.errors import NetwatchError
from netwatch.report.collect import Wanted, collect
from netwatch.report.values import Report
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.incident_pages import IncidentFilter, incident_counts
from netwatch.store.incident_rows import DAY
from netwatch.store.options import StoreOptions

if TYPE_CHECKING:
    from netwatch.config import Config

KEPT_SECONDS = 60.0
"""How long a report is shown again without a newer one being collected."""

OLDEST_SECONDS = 900.0
"""How old a report may be that is shown while a newer one is collected."""

KEPT = 16
"""Reports that are kept, without their incidents."""

WAIT_SECONDS = 10.0
"""How long a page waits for the first report of a period."""

SMALL = 5000
"""Incidents of a report, and of the period before it, that are collected in a thread."""

TIME_LIMIT = 540.0
"""Seconds that the process of a large report may take."""

DAYS = 30
"""Days of a page whose address has none, up to the day of the last capture."""

MAX_DAYS = 3660
"""Days that a report may have."""

_WORKER = [sys.executable, "-P", "-m", "netwatch.console.report_worker"]
_PIECE = 1 << 16


class PeriodReports:
    """Collects reports, one for pages at a time, for any number of threads."""

    def __init__(self, catalogue: Catalogue, store: StoreOptions, config: "Config") -> None:
        self._catalogue = catalogue
        self._store = store
        self._config = config
        self._lock = threading.Lock()
        self._known: OrderedDict[Wanted, tuple[float, Report]] = OrderedDict()
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
        last = _last_day(self._catalogue, now)
        first = last - timedelta(days=DAYS - 1)
        bans = [(ban.id,) for ban in self._config.policy.bans]
        for each in [*bans, ()][: KEPT // 2]:
            self._coming_to(Wanted(first, last, each))

    def shown(self, wanted: Wanted) -> Report | None:
        """A report for a page, without its list of incidents; None while the first one is still
        being collected. Raises `ConfigError` for a ban that there is not, and `NetwatchError`."""
        with self._lock:
            age, report = self._kept(wanted)
        if report is not None and age <= KEPT_SECONDS:
            return report
        coming = self._coming_to(wanted)
        if report is not None and age <= OLDEST_SECONDS:
            return report
        try:
            return coming.result(WAIT_SECONDS)
        except WaitedTooLongError:
            return None

    def _coming_to(self, wanted: Wanted) -> Future[Report]:
        """The report that is being collected; one that nobody collects is begun."""
        with self._lock:
            coming = self._coming.get(wanted)
            if self._is_closed:
                raise NetwatchError("the console is ending")
            if coming is None:
                coming = self._coming[wanted] = self._pool.submit(self._collect, wanted)
            return coming

    def _kept(self, wanted: Wanted) -> tuple[float, Report | None]:
        """How old the last report is (s), and the report."""
        if wanted not in self._known:
            return float("inf"), None
        self._known.move_to_end(wanted)
        made, report = self._known[wanted]
        return time.monotonic() - made, report

    def _collect(self, wanted: Wanted) -> Report:
        try:
            if self._is_small(wanted):
                report = without_incidents(collect(self._catalogue, self._config, wanted))
            else:
                content = b"".join(self._made_elsewhere(self._request(wanted)))
                report = pickle.loads(content)
            with self._lock:
                self._known[wanted] = time.monotonic(), report
                self._known.move_to_end(wanted)
                if len(self._known) > KEPT:
                    self._known.popitem(last=False)
        finally:
            with self._lock:
                self._coming.pop(wanted, None)
        return report

    def file(self, wanted: Wanted, kind: str, view: View) -> Iterator[bytes]:
        """A report as a file, in pieces. Raises `NetwatchError`."""
        code, renderer, note = view.language.code, view.console.renderer, view.console.report
        if self._is_small(wanted):
            report = collect(self._catalogue, self._config, wanted)
            yield report_file(report, kind, code, renderer, note)
        else:
            yield from self._made_elsewhere(self._request(wanted, kind, code))

    def _is_small(self, wanted: Wanted) -> bool:
        """Whether so few incidents have to be read that a page does not notice."""
        days = (wanted.last - wanted.first).days + 1
        first = _midnight(wanted.first) - days * DAY
        found = IncidentFilter(since=max(0, first), until=_midnight(wanted.last) + DAY)
        return sum(incident_counts(self._catalogue, found, ["verdict"]).values()) <= SMALL

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


def shown_report(view: View, wanted: Wanted) -> Report:
    """A report for a page. Raises `Refused` where it is not ready in time."""
    report = view.console.reports.shown(wanted)
    if report is None:
        raise Refused(503, view.say(
            "The store has so many incidents in this period that they are still being read."
            " Open the page again in some seconds, or ask for a shorter period."
        ), retry_after=10)  # fmt: skip
    return report


def days_of(view: View) -> tuple[date, date]:
    """The first and last day of the address, or the days up to the last capture. Raises `Refused`
    for days that cannot be read."""
    last = _day(view, "to") or _last_day(view.console.catalogue, view.console.now())
    first = _day(view, "from") or last - timedelta(days=DAYS - 1)
    if first > last or (last - first).days > MAX_DAYS:
        raise bad_request(
            view.say("The first day must not be after the last, nor 10 years before.")
        )
    return first, last


def _day(view: View, name: str) -> date | None:
    text = view.query.text(name)
    if not text:
        return None
    try:
        found = date.fromisoformat(text[:10])
        if not 1971 <= found.year <= 2260:
            raise ValueError(text)
    except ValueError:
        raise bad_request(view.say("“%(name)s” is not a day like 2023-03-20.", name=name)) from None
    return found


def _last_day(catalogue: Catalogue, now: int) -> date:
    """The day of the last capture, of the last incident where there is none, or today."""
    with catalogue.database.reading() as connection:
        last = connection.execute(select(func.max(tables.capture.c.last))).scalar()
        last = last or connection.execute(select(func.max(tables.incident.c.last_seen))).scalar()
    moment = now if last is None else int(last)
    return datetime.fromtimestamp(moment // 1_000_000_000, UTC).date()


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000_000
