"""How many rows of a list began in each of many consecutive spans of time: incidents and cases of a
filter.

Of incidents, whole days (UTC) are sums of `incident_day` where the filter allows it. What is left,
which is everything where days are those of another time zone, is counted range by range in the
index of time, by one statement.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Select, func, select

from netwatch.store import catalogue_tables as tables
from netwatch.store.cases import matching_cases
from netwatch.store.catalogue import Catalogue
from netwatch.store.database import QueryTimeoutError
from netwatch.store.incident_pages import IncidentFilter, incident_counts, matching_incidents
from netwatch.store.incident_rows import DAY, SORTS
from netwatch.store.list_totals import whole_days
from netwatch.store.statements import spans_as_rows

Span = tuple[int, int]
"""A begin and an end (ns), of which the latter does not belong to it."""


def incident_extent(
    catalogue: Catalogue, wanted: IncidentFilter, timeout: float | None = None
) -> Span | None:
    """A span with all incidents of a filter that has no begin or no end, as short as the days with
    such incidents say; None if there is none. Raises `NetwatchError`."""
    day, device = tables.incident_day.c, tables.incident_device.c
    days = select(func.min(day.day), func.max(day.day)).where(*wanted.conditions(day, SORTS))
    devices = select(func.min(device.first_seen), func.max(device.last_seen)).where(
        *wanted.conditions(device, ("device", "network"))
    )
    with catalogue.database.reading(timeout) as connection:
        first, last = connection.execute(days).one()
        if first is None:
            return None
        begin, end = first * DAY, (last + 1) * DAY
        if wanted.device:
            first, last = connection.execute(devices).one()
            if first is None:
                return None
            begin, end = max(begin, first), min(end, last + 1)
    return begin, max(end, begin + 1)


def case_extent(
    catalogue: Catalogue, wanted: IncidentFilter, timeout: float | None = None
) -> Span | None:
    """The same of cases."""
    case = tables.fleet_case.c
    statement = matching_cases(select(func.min(case.first_seen), func.max(case.first_seen)), wanted)
    with catalogue.database.reading(timeout) as connection:
        first, last = connection.execute(statement).one()
    return None if first is None else (first, last + 1)


def incident_bins(
    catalogue: Catalogue,
    wanted: IncidentFilter,
    spans: Sequence[Span],
    timeout: float | None = None,
) -> list[int] | None:
    """How many incidents of a filter began in each span, whatever its own times are; None if that
    takes longer than `timeout` s. Raises `NetwatchError`."""
    wanted = replace(wanted, since=None, until=None)
    found, rest = [0] * len(spans), [(number, span) for number, span in enumerate(spans)]
    try:
        if wanted.is_by_ids:
            return _of_moments(catalogue, wanted, spans, timeout)
        if wanted.is_of_sorts:
            found, rest = _by_whole_days(catalogue, wanted, spans, timeout)
        began = tables.incident.c.first_seen
        counts = _counts(
            catalogue,
            lambda begin, end: matching_incidents(
                select(func.count()).where(began >= begin, began < end), wanted
            ),
            [span for _, span in rest],
            timeout,
        )
    except QueryTimeoutError:
        return None
    for (number, _), count in zip(rest, counts, strict=True):
        found[number] += count
    return found


def _of_moments(
    catalogue: Catalogue, wanted: IncidentFilter, spans: Sequence[Span], timeout: float | None
) -> list[int]:
    """The same of incidents that are few enough to read when each began."""
    statement = matching_incidents(select(tables.incident.c.first_seen), wanted)
    with catalogue.database.reading(timeout) as connection:
        moments = sorted(connection.execute(statement).scalars())
    return [bisect_left(moments, end) - bisect_left(moments, begin) for begin, end in spans]


def case_bins(
    catalogue: Catalogue,
    wanted: IncidentFilter,
    spans: Sequence[Span],
    timeout: float | None = None,
) -> list[int] | None:
    """The same of cases."""
    wanted = replace(wanted, since=None, until=None)
    began = tables.fleet_case.c.first_seen
    try:
        return _counts(
            catalogue,
            lambda begin, end: matching_cases(
                select(func.count()).where(began >= begin, began < end), wanted
            ),
            spans,
            timeout,
        )
    except QueryTimeoutError:
        return None


def _by_whole_days(
    catalogue: Catalogue,
    wanted: IncidentFilter,
    spans: Sequence[Span],
    timeout: float | None,
) -> tuple[list[int], list[tuple[int, Span]]]:
    """The sums of the whole days in each span, and what is left with the number of its span."""
    found, rest = [0] * len(spans), list[tuple[int, Span]]()
    begin = min((begin for begin, _ in spans), default=0)
    end = max((end for _, end in spans), default=0)
    divided = [whole_days(*span) for span in spans]
    sums: dict[int, int] = {}
    if any(days is not None for days, _ in divided) and begin < end:
        counts = incident_counts(
            catalogue, replace(wanted, since=begin, until=end), ["day"], timeout=timeout
        )
        sums = {int(day): count for (day,), count in counts.items()}
    for number, (days, left) in enumerate(divided):
        if days is not None:
            first, last = (int(edge or 0) // DAY for edge in days)
            found[number] = sum(sums.get(day, 0) for day in range(first, last))
        rest += [(number, (int(low or 0), int(high or 0))) for low, high in left]
    return found, rest


def _counts(
    catalogue: Catalogue,
    counting: Callable[[Any, Any], Select[Any]],
    spans: Sequence[Span],
    timeout: float | None,
) -> list[int]:
    if not spans:
        return []
    with catalogue.database.reading(timeout) as connection:
        return _in_rows(connection, counting, spans)


def _in_rows(
    connection: Connection, counting: Callable[[Any, Any], Select[Any]], spans: Sequence[Span]
) -> list[int]:
    number, begin, end = spans_as_rows(connection, spans)
    statement = select(number, counting(begin, end).scalar_subquery()).order_by(number)
    return [int(count) for _, count in connection.execute(statement)]
