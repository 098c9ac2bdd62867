"""Reports on a period for pages: collected alongside the pages, kept for a while; the days of an
address.

To collect a report reads every incident of its period. A page that shows parts of one gets the last
one at once, and while nothing in the store changes no newer one is collected. The first report of
a period is waited for, but not for long: then a page says that it is being made, and is loaded
again. Small reports are collected in a thread, large ones in a process of their own
(`netwatch.console.report_worker`).
"""

import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLongError
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from netwatch.console.report_worker import Request, report_file, without_incidents
from netwatch.console.view import Page, View, bad_request
from netwatch.core.errors import NetwatchError
from netwatch.core.period import UTC_ZONE, day_at
from netwatch.core.verdict import Ban
from netwatch.report.collect import Wanted, collect, common_timezone
from netwatch.report.values import Report
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.database import QueryTimeoutError
from netwatch.store.incident_pages import IncidentFilter, incident_counts
from netwatch.store.incident_rows import DAY
from netwatch.store.options import StoreOptions

if TYPE_CHECKING:
    from netwatch.config import Config

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

AGAIN_SECONDS = 3
"""After how long a page that says so is loaded again."""

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

    def __init__(self, catalogue: Catalogue, store: StoreOptions, config: "Config") -> None:
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
        code, renderer, note = view.language.code, view.console.renderer, view.console.report
        if self._is_small(wanted):
            report = replace(
                collect(self._catalogue, self._config, wanted), audit=view.console.audit.head()
            )
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
    first = _midnight(wanted.first) - days * DAY
    return IncidentFilter(since=max(0, first), until=_midnight(wanted.last) + DAY)


def being_made(view: View, wanted: Wanted) -> Page:
    """The page that stands for one whose report is not ready. Browsers load it again by
    themselves, also without script."""
    found = IncidentFilter(since=_midnight(wanted.first), until=_midnight(wanted.last) + DAY)
    incidents = None
    # Where even the count takes long, the page does without it.
    with suppress(QueryTimeoutError):
        counts = incident_counts(view.console.catalogue, found, ["verdict"], timeout=WAIT_SECONDS)
        incidents = sum(counts.values())
    values = {
        "first": wanted.first,
        "last": wanted.last,
        "incidents": incidents,
        "again": AGAIN_SECONDS,
        "pairs": view.query.kept(("from", "to")),
    }
    return Page("being_made", values, status=202, headers={"Refresh": str(AGAIN_SECONDS)})


def days_of(view: View, bans: Sequence[Ban] | None = None) -> tuple[date, date]:
    """The first and last day of the address, or the days up to the last capture, in the time zone
    of the report on these bans, of all where it is None. Raises `Refused` for days that cannot be
    read."""
    zone = common_timezone(view.console.config.policy.bans if bans is None else bans)
    last = _day(view, "to") or last_day(view.console.catalogue, view.console.now(), zone)
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


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000_000
