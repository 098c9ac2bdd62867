"""The times of which a store has a capture, and the days without one.

A run knows the time from its first to its last packet; the days of its facts say on which of these
there were packets at all.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import func, select

from netwatch.report import reading
from netwatch.report.period import Days, Span, joined
from netwatch.report.reading import Capture
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue

_DAY = 86_400_000_000_000


def captured_spans(
    catalogue: Catalogue, span: Span, captures: Sequence[Capture] | None = None
) -> list[Span]:
    """The times with a capture that overlap a time, in order; `captures` are those of it, if they
    are at hand."""
    if captures is None:
        captures = reading.captures(catalogue, span)
    spans = [
        (each.first, each.last + 1)
        for each in captures
        if each.first is not None and each.last is not None
    ]
    spans += [(first, last + 1) for first, last in reading.live_hours(catalogue, span)]
    return _without(joined(spans), _days_without_facts(catalogue, span))


def _days_without_facts(catalogue: Catalogue, span: Span) -> list[Span]:
    """The days (UTC) without any row of facts, between days that have some: what is older may have
    been deleted by age, and what is newer may not be written yet."""
    columns = tables.file.c
    facts = columns.table.in_(("observation", "flow"))
    with catalogue.database.reading() as connection:
        oldest, newest = connection.execute(
            select(func.min(columns.day), func.max(columns.day)).where(facts)
        ).one()
        if oldest is None:
            return []
        first, last = max(oldest, _day(span[0])), min(newest, _day(span[1]))
        found = connection.execute(
            select(columns.day).distinct().where(facts, columns.day.between(first, last))
        )
        known = set(found.scalars())
    missing = []
    day = date.fromisoformat(first)
    while day.isoformat() <= last:
        if day.isoformat() not in known:
            begin = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**9
            missing.append((begin, begin + _DAY))
        day += timedelta(days=1)
    return joined(missing)


def _day(time: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time // 1000)
    return moment.date().isoformat()


def _without(spans: Sequence[Span], holes: Sequence[Span]) -> list[Span]:
    """The parts of spans that no hole covers."""
    found = []
    for begin, end in spans:
        at = begin
        for first, last in holes:
            if first < end and last > at:
                if first > at:
                    found.append((at, first))
                at = last
        if at < end:
            found.append((at, end))
    return found


def missing_days(days: Days, covered: Sequence[Span]) -> list[date]:
    """The days without a capture at any time of them."""
    found = []
    at = 0
    for number in range(days.count):
        day = days.first + timedelta(days=number)
        begin, end = Days(day, day, days.timezone).span
        while at < len(covered) and covered[at][1] <= begin:
            at += 1
        if at == len(covered) or covered[at][0] >= end:
            found.append(day)
    return found
