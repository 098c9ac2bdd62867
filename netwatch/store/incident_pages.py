"""Lists of incidents a page at a time, and how many there are, without reading all of them.

A page is found by keyset: it begins behind the last row of the page before it, so the hundredth
page costs what the first one does. Which days have incidents of the wanted sorts is looked up in
`incident_day` first, so that a filter that fits few incidents does not read all of them, and one
that fits none reads none; so are the devices of a filter in `incident_device`. Counts are sums of
`incident_day`: by day (UTC), not by moment.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, func, literal, select, tuple_

from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.incident_rows import DAY, SORTS, VERDICTS

PAGE = 50
"""Rows of a page."""

NO_WORDS: frozenset[str] = frozenset()

FEW = 2000
"""Incidents of a device that are read and put in order for a page."""

_ALWAYS = (-(1 << 63), (1 << 63) - 1)


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """Which incidents are wanted: all that began from `since` up to, but without, `until` (ns),
    with one of the words of each set that is not empty. The names are those of the columns;
    `sensor` are those that saw them."""

    since: int | None = None
    until: int | None = None
    verdict: frozenset[str] = NO_WORDS
    confidence: frozenset[str] = NO_WORDS
    kind: frozenset[str] = NO_WORDS
    outcome: frozenset[str] = NO_WORDS
    status: frozenset[str] = NO_WORDS
    app: frozenset[str] = NO_WORDS
    ban: frozenset[str] = NO_WORDS
    network: frozenset[str] = NO_WORDS
    device: frozenset[str] = NO_WORDS
    sensor: frozenset[str] = NO_WORDS

    @property
    def sorts(self) -> Mapping[str, frozenset[str]]:
        """The words that are wanted of each of `SORTS` that has some."""
        return {name: words for name in SORTS if (words := getattr(self, name))}


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page: when its incident began (ns), and its id."""

    first_seen: int
    id: str


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident of a list; `record` is the alert as its line of JSON."""

    id: str
    run: int
    first_seen: int
    last_seen: int
    record: str


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """Some incidents, and the cursor behind which the next ones are; None after the last ones."""

    rows: tuple[IncidentRow, ...]
    following: Cursor | None


def incident_page(
    catalogue: Catalogue,
    wanted: IncidentFilter,
    after: Cursor | None = None,
    *,
    size: int = PAGE,
    oldest_first: bool = False,
    timeout: float | None = None,
) -> IncidentPage:
    """A page of incidents, the newest first unless `oldest_first` is set. Raises `NetwatchError`,
    and `QueryTimeoutError` after `timeout` s."""
    rows: list[IncidentRow] = []
    with catalogue.database.reading(timeout) as connection:
        known = _of_devices(connection, wanted) if wanted.device else _OfDevices(*_ALWAYS, FEW + 1)
        for first, end in _spans(connection, wanted, known, after, oldest_first):
            statement = _rows(wanted, after, first, end, oldest_first, known.incidents <= FEW)
            statement = statement.limit(size + 1 - len(rows))
            rows += [IncidentRow(*row) for row in connection.execute(statement)]
            if len(rows) > size:
                last = rows[size - 1]
                return IncidentPage(tuple(rows[:size]), Cursor(last.first_seen, last.id))
    return IncidentPage(tuple(rows), None)


class _OfDevices(NamedTuple):
    """From when to when (ns) devices have incidents, and how many."""

    first: int
    end: int
    incidents: int


def _of_devices(connection: Connection, wanted: IncidentFilter) -> _OfDevices:
    column = tables.incident_device.c
    numbers = [column[name] for name in sorted(wanted.verdict or VERDICTS) if name in VERDICTS]
    statement = select(
        func.min(column.first_seen), func.max(column.last_seen), func.sum(sum(numbers, literal(0)))
    ).where(column.device.in_(sorted(wanted.device)))
    if wanted.network:
        statement = statement.where(column.network.in_(sorted(wanted.network)))
    first, last, incidents = connection.execute(statement).one()
    return (
        _OfDevices(int(first), int(last) + 1, int(incidents)) if incidents else _OfDevices(0, 0, 0)
    )


def _rows(
    wanted: IncidentFilter,
    after: Cursor | None,
    first: int,
    end: int,
    oldest_first: bool,
    are_few: bool,
) -> Select[Any]:
    """The wanted incidents that began from `first` up to, but without, `end` (ns). Of devices that
    have few, all are read and put in order: SQLite would read all in the order of time until it
    has found a page of them, which is all incidents. A sum is in no index."""
    column = tables.incident.c
    began: ColumnElement[int] = column.first_seen + 0 if are_few else column.first_seen
    statement = select(
        column.id, column.run, column.first_seen, column.last_seen, column.record
    ).where(column.shown == 1, began >= first, began < end)
    for name in (*SORTS, "device"):
        if words := getattr(wanted, name):
            statement = statement.where(column[name].in_(sorted(words)))
    if wanted.sensor:
        run = tables.run.c
        statement = statement.where(
            column.run.in_(select(run.id).where(run.sensor.in_(sorted(wanted.sensor))))
        )
    key = tuple_(began, column.id)
    if after is not None:
        place = tuple_(after.first_seen, after.id)
        statement = statement.where(key > place if oldest_first else key < place)
    order = (began, column.id)
    return statement.order_by(*(each if oldest_first else each.desc() for each in order))


def _spans(
    connection: Connection,
    wanted: IncidentFilter,
    known: _OfDevices,
    after: Cursor | None,
    oldest_first: bool,
) -> Iterator[tuple[int, int]]:
    """The times (ns) that have wanted incidents, within those of the wanted devices: days in a row
    together, in the order of the list."""
    first = max(known.first, _ALWAYS[0] if wanted.since is None else wanted.since)
    end = min(known.end, _ALWAYS[1] if wanted.until is None else wanted.until)
    if after is not None and oldest_first:
        first = max(first, after.first_seen)
    elif after is not None:
        end = min(end, after.first_seen + 1)
    if first >= end:
        return
    if not wanted.sorts:
        yield first, end
        return
    day = tables.incident_day.c.day
    statement = select(day).where(day >= first // DAY, day <= (end - 1) // DAY).distinct()
    for name, words in wanted.sorts.items():
        statement = statement.where(tables.incident_day.c[name].in_(sorted(words)))
    days = list(
        connection.execute(statement.order_by(day if oldest_first else day.desc())).scalars()
    )
    step = 1 if oldest_first else -1
    start = 0
    for index in range(1, len(days) + 1):
        if index < len(days) and days[index] == days[index - 1] + step:
            continue
        low, high = sorted((days[start], days[index - 1]))
        yield max(first, low * DAY), min(end, (high + 1) * DAY)
        start = index


def incident_counts(
    catalogue: Catalogue,
    wanted: IncidentFilter,
    by: Sequence[str],
    *,
    timeout: float | None = None,
) -> dict[tuple[Any, ...], int]:
    """How many incidents began on the days (UTC) of a filter, by some of the columns ``day`` and
    `SORTS`. Devices of the filter are not taken into account. Raises `NetwatchError`."""
    column = tables.incident_day.c
    keys = [column[name] for name in by]
    statement = select(*keys, func.sum(column.incidents)).group_by(*keys).order_by(*keys)
    if wanted.since is not None:
        statement = statement.where(column.day >= wanted.since // DAY)
    if wanted.until is not None:
        statement = statement.where(column.day <= (wanted.until - 1) // DAY)
    for name, words in wanted.sorts.items():
        statement = statement.where(column[name].in_(sorted(words)))
    with catalogue.database.reading(timeout) as connection:
        return {tuple(row[:-1]): int(row[-1]) for row in connection.execute(statement)}


def incident_row(catalogue: Catalogue, identity: str) -> IncidentRow | None:
    """The shown incident with an id. Raises `NetwatchError`."""
    column = tables.incident.c
    statement = select(
        column.id, column.run, column.first_seen, column.last_seen, column.record
    ).where(column.id == identity, column.shown == 1)
    with catalogue.database.reading() as connection:
        row = connection.execute(statement).first()
    return None if row is None else IncidentRow(*row)
