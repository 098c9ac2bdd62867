"""Lists of incidents a page at a time, and how many there are, without reading all of them.

A page is found by keyset: it begins behind the last row of the page before it, so the hundredth
page costs what the first one does. Which days have incidents of the wanted sorts is looked up in
`incident_day` first, so that a filter that fits few incidents does not read all of them, and one
that fits none reads none. Counts are sums of `incident_day`: by day (UTC), not by moment.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, select, tuple_

from netwatch.core.dataclass import dataclass
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.incident_rows import DAY, SORTS

PAGE = 50
"""Rows of a page."""

NO_WORDS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """Which incidents are wanted: all that began from `since` up to, but without, `until` (ns),
    with one of the words of each set that is not empty. The names are those of the columns."""

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
        for first, end in _spans(connection, wanted, after, oldest_first):
            statement = _rows(wanted, after, first, end, oldest_first).limit(size + 1 - len(rows))
            rows += [IncidentRow(*row) for row in connection.execute(statement)]
            if len(rows) > size:
                last = rows[size - 1]
                return IncidentPage(tuple(rows[:size]), Cursor(last.first_seen, last.id))
    return IncidentPage(tuple(rows), None)


def _rows(
    wanted: IncidentFilter, after: Cursor | None, first: int, end: int, oldest_first: bool
) -> Select[Any]:
    """The wanted incidents that began from `first` up to, but without, `end` (ns)."""
    column = tables.incident.c
    statement = select(
        column.id, column.run, column.first_seen, column.last_seen, column.record
    ).where(column.shown == 1, column.first_seen >= first, column.first_seen < end)
    for name in (*SORTS, "device"):
        if words := getattr(wanted, name):
            statement = statement.where(column[name].in_(sorted(words)))
    key = tuple_(column.first_seen, column.id)
    if after is not None:
        place = tuple_(after.first_seen, after.id)
        statement = statement.where(key > place if oldest_first else key < place)
    order = (column.first_seen, column.id)
    return statement.order_by(*(each if oldest_first else each.desc() for each in order))


def _spans(
    connection: Connection, wanted: IncidentFilter, after: Cursor | None, oldest_first: bool
) -> Iterator[tuple[int, int]]:
    """The times (ns) that have wanted incidents: days in a row together, in the order of the
    list. Of devices the index says where they are, so all time is one span."""
    first = -(1 << 63) if wanted.since is None else wanted.since
    end = (1 << 63) - 1 if wanted.until is None else wanted.until
    if after is not None and oldest_first:
        first = max(first, after.first_seen)
    elif after is not None:
        end = min(end, after.first_seen + 1)
    if wanted.device or not wanted.sorts:
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
