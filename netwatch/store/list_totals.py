"""How many rows a list has in all: incidents, cases and devices of a filter.

Of incidents, whole days are sums of `incident_day`, and only what is left of the first and the last
day is counted. A count that takes too long is not known, and the list does without it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import Select, func, select

from netwatch.store import catalogue_tables as tables
from netwatch.store.cases import matching_cases
from netwatch.store.catalogue import Catalogue
from netwatch.store.database import QueryTimeoutError
from netwatch.store.incident_pages import (
    DeviceFilter,
    IncidentFilter,
    incident_counts,
    matching_devices,
    matching_incidents,
)
from netwatch.store.incident_rows import DAY

Span = tuple[int | None, int | None]
"""A begin and an end (ns); None is open."""


def incident_total(
    catalogue: Catalogue, wanted: IncidentFilter, timeout: float | None = None
) -> int | None:
    """How many incidents a filter fits; None if that takes longer than `timeout` s. Raises
    `NetwatchError`."""
    column = tables.incident.c
    spans = [(wanted.since, wanted.until)]
    try:
        found = 0
        if wanted.is_of_sorts:
            days, spans = whole_days(wanted.since, wanted.until)
            if days is not None:
                whole = replace(wanted, since=days[0], until=days[1])
                counts = incident_counts(catalogue, whole, ["verdict"], timeout=timeout)
                found = sum(counts.values())
        for since, until in spans:
            part = replace(wanted, since=since, until=until)
            statement = matching_incidents(catalogue.database.engine, select(column.id), part)
            found += _count(catalogue, statement, timeout)
    except QueryTimeoutError:
        return None
    return found


def case_total(
    catalogue: Catalogue, wanted: IncidentFilter, timeout: float | None = None
) -> int | None:
    """The same of cases."""
    return _total(
        catalogue, matching_cases(catalogue, select(tables.fleet_case.c.id), wanted), timeout
    )


def device_total(
    catalogue: Catalogue, wanted: DeviceFilter, timeout: float | None = None
) -> int | None:
    """The same of devices, each once in each of its networks."""
    column = tables.incident_device.c
    return _total(catalogue, matching_devices(select(column.device), wanted), timeout)


def _total(catalogue: Catalogue, statement: Select[Any], timeout: float | None) -> int | None:
    try:
        return _count(catalogue, statement, timeout)
    except QueryTimeoutError:
        return None


def _count(catalogue: Catalogue, statement: Select[Any], timeout: float | None) -> int:
    with catalogue.database.reading(timeout) as connection:
        found = connection.execute(select(func.count()).select_from(statement.subquery()))
        return int(found.scalar_one())


def whole_days(since: int | None, until: int | None) -> tuple[Span | None, list[Span]]:
    """The whole days (UTC) of a period as their begin and end, None if there are none, and what is
    left of it before and behind them."""
    first = None if since is None else -(-since // DAY) * DAY
    end = None if until is None else until // DAY * DAY
    if first is not None and end is not None and first >= end:
        return None, [(since, until)]
    return (first, end), [*_between(since, first), *_between(end, until)]


def _between(begin: int | None, end: int | None) -> Iterator[Span]:
    if begin is not None and end is not None and begin < end:
        yield begin, end
