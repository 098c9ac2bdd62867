"""Judges each day once: which devices hid their lookups (`netwatch.store.untold`).

A day (UTC) is judged `GRACE` after its end, when flows that lasted beyond it are stored, too, and
again when `GROWTH` times its facts have come. What was found is kept (`netwatch.store.bypass_rows`)
and outlives the facts. All readers take such days as they were judged. Queries and reports count
the other ones that are over, console and API only say how many there are.
"""

from dataclasses import dataclass

from netwatch.coverage.judged import HOUR
from netwatch.formats.bypass import BypassRecord, bypass_record, day_number
from netwatch.store import bypass_rows
from netwatch.store.bypass_rows import PERSONAL, JudgedDay
from netwatch.store.catalogue import Catalogue
from netwatch.store.messages import Known
from netwatch.store.options import StoreOptions

GRACE = 2 * HOUR
"""How long after its end a day is judged, in ns."""

GROWTH = 1.1
"""How many times the facts that there were make a day be judged again."""

DAY = 24 * HOUR
"""A day in ns."""


@dataclass(frozen=True, slots=True)
class BypassRecords:
    """The records of a period by day, network and device, and how many days of devices had enough
    contacts to be judged; `unread` days were not read, because there are too many flows or nobody
    was to."""

    found: tuple[BypassRecord, ...]
    judged: int = 0
    unread: int = 0


def judge_days(catalogue: Catalogue, options: StoreOptions, known: Known, now: int) -> int:
    """Judge the days that are complete at `now` (ns) and were not, the last ones first, as far as
    one look reads them; returns how many were judged. Raises `NetwatchError`."""
    rows, judged = bypass_rows.fact_rows(catalogue), bypass_rows.judged_days(catalogue)
    due = _due(rows, judged, now)
    if not due:
        return 0
    found = _counted(catalogue, options, known, due, judged)
    days = {}
    for day in due - found.unread:
        classes = found.classes.get(day, {})
        personal = sum(classes.get(each, 0) for each in PERSONAL)
        days[day] = JudgedDay(rows[day], sum(classes.values()), personal)
    bypass_rows.keep_days(catalogue, days, found.records)
    return len(days)


def bypass_records(
    catalogue: Catalogue,
    options: StoreOptions,
    since: int | None,
    until: int | None,
    known: Known,
    *,
    now: int,
    counts: bool = True,
) -> BypassRecords:
    """The records of days that begin from `since` up to, but without, `until` (ns) and are over at
    `now`; None is the first or the last that is stored. Days that were not judged are counted from
    the facts, unless `counts` is false: then they are not read. Raises `NetwatchError`."""
    first, end = bypass_rows.days_between(since, until)
    rows, judged = bypass_rows.fact_rows(catalogue), bypass_rows.judged_days(catalogue)
    due = {day for day in _due(rows, judged, now) if _is_within(day, first, end)}
    kept = [
        record
        for record in bypass_rows.kept_records(catalogue, first, end)
        if day_number(record) not in due
    ]
    devices = sum(
        each.devices
        for day, each in judged.items()
        if _is_within(day, first, end) and day not in due
    )
    if not due or not counts:
        return BypassRecords(tuple(kept), devices, len(due))
    found = _counted(catalogue, options, known, due, judged)
    # Sorting is stable: within a day they are in order.
    records = sorted([*kept, *found.records], key=day_number)
    devices += sum(sum(classes.values()) for classes in found.classes.values())
    return BypassRecords(tuple(records), devices, len(found.unread))


def unjudged_days(catalogue: Catalogue, since: int | None, until: int | None, now: int) -> int:
    """How many days of a period, as in `bypass_records`, have facts that were not judged. Raises
    `NetwatchError`."""
    first, end = bypass_rows.days_between(since, until)
    due = _due(bypass_rows.fact_rows(catalogue), bypass_rows.judged_days(catalogue), now)
    return sum(_is_within(day, first, end) for day in due)


def _is_within(day: int, first: int | None, end: int | None) -> bool:
    return (first is None or first <= day) and (end is None or day < end)


def _due(rows: dict[int, int], judged: dict[int, JudgedDay], now: int) -> set[int]:
    """The days that are over and were not judged, or have many more facts since."""
    return {
        day
        for day, count in rows.items()
        if (day + 1) * DAY + GRACE <= now
        and (day not in judged or count > GROWTH * judged[day].rows)
    }


@dataclass(frozen=True, slots=True)
class _Counted:
    records: list[BypassRecord]
    classes: dict[int, dict[str, int]]
    unread: set[int]


def _counted(
    catalogue: Catalogue,
    options: StoreOptions,
    known: Known,
    days: set[int],
    judged: dict[int, JudgedDay],
) -> _Counted:
    """What facts say of these days."""
    # It needs DuckDB, which takes long to import, and mostly every day was judged before.
    from netwatch.store.untold import bypass_findings

    hiding = bypass_rows.hiding_devices(catalogue)
    kept = {day: hiding.get(day, set()) for day in judged.keys() - days}
    begin, end = min(days), max(days) + 1
    found = bypass_findings(catalogue, options, begin * DAY, end * DAY, known, kept)
    records: list[BypassRecord] = [
        bypass_record(each) for each in found.found if each.bypass.own.day in days
    ]
    classes = {day: dict(counts) for day, counts in found.classes.items() if day in days}
    return _Counted(records, classes, {day for day in days if day < begin + found.unread})
