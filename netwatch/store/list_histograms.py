"""How many rows of a list began in each of many consecutive spans of time: incidents and cases of a
filter.

Of incidents, days (UTC) are sums of `incident_day` where the filter allows it. Days of another time
zone are made of these: only the hours between the midnights of both are counted. What is left is
counted range by range in the index of time, by one statement.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from operator import sub
from typing import Any

from sqlalchemy import Connection, Select, func, select

from netwatch.store import catalogue_tables as tables
from netwatch.store.cases import matching_cases, saw_few
from netwatch.store.catalogue import Catalogue
from netwatch.store.database import QueryTimeoutError
from netwatch.store.incident_pages import (
    NO_WORDS,
    IncidentFilter,
    incident_counts,
    matching_incidents,
)
from netwatch.store.incident_rows import DAY, SORTS
from netwatch.store.statements import spans_as_rows

Span = tuple[int, int]
"""A begin and an end (ns), of which the latter does not belong to it."""

_MOST_OF_DAY = DAY - DAY // 8


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
    began = tables.fleet_case.c.first_seen
    few = _by_ids(catalogue, wanted)
    if few is not None:
        statement = matching_cases(catalogue, select(func.min(began), func.max(began)), few)
    else:
        # Each end of the index, as a minimum and a maximum together read all of it.
        end = matching_cases(catalogue, select(began), wanted).limit(1)
        ends = (end.order_by(order).scalar_subquery() for order in (began, began.desc()))
        statement = select(*ends)
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
    began, engine = tables.incident.c.first_seen, catalogue.database.engine
    try:
        if wanted.is_by_ids:
            statement = matching_incidents(engine, select(began), wanted)
            return _of_moments(catalogue, statement, spans, timeout)
        are_days = bool(spans) and spans[-1][1] - spans[0][0] >= len(spans) * _MOST_OF_DAY
        if wanted.is_of_sorts and are_days:
            found = sorts_in_spans(catalogue, wanted, spans, [], timeout)
            return [each.total() for each in found]
        return _counts(
            catalogue,
            lambda begin, end: matching_incidents(
                engine, select(func.count()).where(began >= begin, began < end), wanted
            ),
            spans,
            timeout,
        )
    except QueryTimeoutError:
        return None


def sorts_in_spans(
    catalogue: Catalogue,
    wanted: IncidentFilter,
    spans: Sequence[Span],
    by: Sequence[str],
    timeout: float | None = None,
) -> list[Counter[tuple[str, ...]]]:
    """How many incidents of a filter of sorts began in each of consecutive spans, by some of the
    columns of `SORTS`: the sums of the days (UTC) that end nearest to it, and what began between
    the midnights and the edges of the span. Raises `NetwatchError`, and `QueryTimeoutError`."""
    edges = [spans[0][0], *(end for _, end in spans)]
    days = [(edge + DAY // 2) // DAY for edge in edges]
    between = [sorted((edge, day * DAY)) for edge, day in zip(edges, days, strict=True)]
    whole = replace(wanted, since=days[0] * DAY, until=days[-1] * DAY)
    counts = incident_counts(catalogue, whole, ["day", *by], timeout=timeout)
    # What began before each edge, beside what began before the midnight that is nearest to it.
    beside: list[Counter[tuple[str, ...]]] = [Counter() for _ in edges]
    with catalogue.database.reading(timeout) as connection:
        number, begin, end = spans_as_rows(connection, [(low, high) for low, high in between])
        column = tables.incident.c
        keys = [column[name] for name in by]
        part = select(number, *keys, func.count()).where(
            column.first_seen >= begin, column.first_seen < end
        )
        place = 0 if connection.dialect.name == "sqlite" else 1  # where numbers begin
        for at, *sort, count in connection.execute(
            matching_incidents(connection, part, replace(wanted, since=None, until=None)).group_by(
                number, *keys
            )
        ):
            index = int(at) - place
            is_behind = edges[index] > days[index] * DAY
            beside[index][tuple(sort)] += int(count) if is_behind else -int(count)
    found = [Counter(beside[index + 1]) for index in range(len(spans))]
    for index, each in enumerate(found):
        each.subtract(beside[index])
    for (day, *sort), count in counts.items():
        found[bisect_right(days, int(day)) - 1][tuple(sort)] += count
    return [+each for each in found]


def _of_moments(
    catalogue: Catalogue, statement: Select[Any], spans: Sequence[Span], timeout: float | None
) -> list[int]:
    """The same of rows that are few enough to read when each began, which a statement says."""
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
        few = _by_ids(catalogue, wanted)
        if few is not None:
            statement = matching_cases(catalogue, select(began), few)
            return _of_moments(catalogue, statement, spans, timeout)
        for every, others in _parts(wanted):
            few = _by_ids(catalogue, others)
            if few is not None:
                whole = case_bins(catalogue, every, spans, timeout)
                left_out = case_bins(catalogue, few, spans, timeout)
                return whole and left_out and [*map(sub, whole, left_out)]
        return _counts(
            catalogue,
            lambda begin, end: matching_cases(
                catalogue, select(func.count()).where(began >= begin, began < end), wanted
            ),
            spans,
            timeout,
        )
    except QueryTimeoutError:
        return None


def _by_ids(catalogue: Catalogue, wanted: IncidentFilter) -> IncidentFilter | None:
    """The same filter, by the ids of its cases; None if these may be too many."""
    if wanted.chosen is not None and wanted.chosen.by_ids is not None:
        return replace(wanted, chosen=replace(wanted.chosen, condition=wanted.chosen.by_ids))
    return wanted if wanted.sensor and saw_few(catalogue, wanted.sensor) else None


def _parts(wanted: IncidentFilter) -> Iterator[tuple[IncidentFilter, IncidentFilter]]:
    """Filters of more cases, each with that of the cases that it has in addition."""
    if wanted.chosen is not None and wanted.chosen.left_out is not None:
        every = replace(wanted, chosen=None)
        yield every, replace(wanted, chosen=wanted.chosen.left_out)
    seen_by = wanted.excluded.get("sensor", NO_WORDS)
    if seen_by and not wanted.sensor:
        left = {name: words for name, words in wanted.excluded.items() if name != "sensor"}
        every = replace(wanted, excluded=left)
        yield every, replace(every, sensor=seen_by)


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
