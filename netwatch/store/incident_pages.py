"""Lists of incidents, and of devices with some, a page at a time, and how many there are, without
reading all of them.

A page is found by keyset: it begins after the last row of the previous page, so the hundredth page
costs as much as the first. The days with incidents of the wanted sorts are looked up in
`incident_day` first, so that a filter that fits few incidents does not read all of them, and one
that fits none reads none; likewise the devices of a filter in `incident_device`. Counts are sums of
`incident_day`: by day (UTC), not by moment.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, tzinfo
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from netwatch.core.period import local_spans
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.chosen_incidents import BY_IDS, Chosen, is_shown, seen_by
from netwatch.store.incident_rows import DAY, SORTS, VERDICTS
from netwatch.store.statements import chunks, spans_as_rows, word_conditions

PAGE = 50
"""Rows of a page."""

NO_WORDS: frozenset[str] = frozenset()

FEW = 2000
"""Incidents of a device to read and sort for a page, at most."""

_ALWAYS = (-(1 << 63), (1 << 63) - 1)


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """Which incidents are wanted: all that began from `since` up to, but without, `until` (ns),
    with one of the words of each set that is not empty, and none of those that are `excluded`. The
    names are column names; `sensor` are the sensors that saw them. For cases, `joined_by` is the
    evidence that they are one, and at least `seen` sensors saw each. `chosen` are incidents by id,
    or cases by those of theirs.
    """

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
    severity: frozenset[str] = NO_WORDS
    device: frozenset[str] = NO_WORDS
    sensor: frozenset[str] = NO_WORDS
    joined_by: frozenset[str] = NO_WORDS
    seen: int = 1
    excluded: Mapping[str, frozenset[str]] = field(default_factory=dict)
    chosen: Chosen | None = None

    @property
    def is_of_sorts(self) -> bool:
        """Whether it has no other words than of `SORTS`."""
        others = self.device or self.sensor or self.chosen is not None
        return not (others or self.excluded.keys() - {*SORTS})

    @property
    def is_by_ids(self) -> bool:
        """Whether its incidents are so few by their ids that it is best to begin with these."""
        size = None if self.chosen is None else self.chosen.size
        return size is not None and size <= BY_IDS

    def conditions(self, columns: Any, names: Sequence[str]) -> list[Any]:
        """The conditions for columns with these names."""
        wanted = {name: words for name in names if (words := getattr(self, name))}
        excluded = {name: self.excluded[name] for name in names if name in self.excluded}
        return [*word_conditions(columns, wanted, excluded)]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page: when its incident began (ns), its id, and where rows are not sorted
    by time the word that they are sorted by."""

    first_seen: int
    id: str
    word: str = ""


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident in a list, or a case that so many `sensors` saw; `record` is the alert as its
    JSON line. A case has no `run`."""

    id: str
    first_seen: int
    last_seen: int
    record: str
    run: int = 0
    sensors: int = 1


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """Some incidents, and the cursor after which the next ones follow; None after the last ones."""

    rows: tuple[IncidentRow, ...]
    following: Cursor | None

    @classmethod
    def of(cls, rows: Sequence[IncidentRow], size: int) -> "IncidentPage":
        """The page of so many rows, of which one more was asked for."""
        if len(rows) <= size:
            return cls(tuple(rows), None)
        last = rows[size - 1]
        return cls(tuple(rows[:size]), Cursor(last.first_seen, last.id))


INCIDENT_COLUMNS = tuple(
    tables.incident.c[name] for name in ("id", "first_seen", "last_seen", "record", "run")
)
"""The columns of an `IncidentRow`."""


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
        are_few = wanted.is_by_ids or known.incidents <= FEW
        for first, end in _spans(connection, wanted, known, after, oldest_first):
            statement = _rows(connection, wanted, after, first, end, oldest_first, are_few)
            statement = statement.limit(size + 1 - len(rows))
            rows += [IncidentRow(*row) for row in connection.execute(statement)]
            if len(rows) > size:
                break
    return IncidentPage.of(rows, size)


def incidents_of_devices(connection: Connection, wanted: IncidentFilter) -> int:
    """How many incidents the wanted devices have, whenever these began."""
    return _of_devices(connection, wanted).incidents


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
    connection: Connection,
    wanted: IncidentFilter,
    after: Cursor | None,
    first: int,
    end: int,
    oldest_first: bool,
    are_few: bool,
) -> Select[Any]:
    """The wanted incidents that began from `first` up to, but without, `end` (ns). If their devices
    have few, all are read and sorted: SQLite would read all incidents in the order of time until it
    has found a page. A sum is in no index."""
    column = tables.incident.c
    began: ColumnElement[int] = column.first_seen + 0 if are_few else column.first_seen
    statement = _matching(connection, select(*INCIDENT_COLUMNS), wanted)
    statement = statement.where(began >= first, began < end)
    key = tuple_(began, column.id)
    if after is not None:
        place = tuple_(after.first_seen, after.id)
        statement = statement.where(key > place if oldest_first else key < place)
    order = (began, column.id)
    return statement.order_by(*(each if oldest_first else each.desc() for each in order))


def _matching(
    engine: Connection | Engine, statement: Select[Any], wanted: IncidentFilter
) -> Select[Any]:
    column = tables.incident.c
    # Few are read by their ids: a sum is in no other index.
    shown = column.shown + 0 if wanted.is_by_ids else column.shown
    statement = statement.where(shown == 1, *wanted.conditions(column, (*SORTS, "device")))
    if wanted.chosen is not None:
        statement = statement.where(wanted.chosen.condition)
    others = wanted.excluded.get("sensor", NO_WORDS)
    are_few = wanted.is_by_ids or bool(wanted.device)
    return statement.where(*seen_by(engine, wanted.sensor, others, are_few=are_few))


def matching_incidents(
    engine: Connection | Engine, statement: Select[Any], wanted: IncidentFilter
) -> Select[Any]:
    """A statement over incidents with the conditions of a filter."""
    began = tables.incident.c.first_seen
    if wanted.since is not None:
        statement = statement.where(began >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(began < wanted.until)
    return _matching(engine, statement, wanted)


def _spans(
    connection: Connection,
    wanted: IncidentFilter,
    known: _OfDevices,
    after: Cursor | None,
    oldest_first: bool,
) -> Iterator[tuple[int, int]]:
    """The times (ns) with wanted incidents, within those of the wanted devices: consecutive days
    together, in the order of the list."""
    first = max(known.first, _ALWAYS[0] if wanted.since is None else wanted.since)
    end = min(known.end, _ALWAYS[1] if wanted.until is None else wanted.until)
    if after is not None and oldest_first:
        first = max(first, after.first_seen)
    elif after is not None:
        end = min(end, after.first_seen + 1)
    if first >= end:
        return
    sorts = wanted.conditions(tables.incident_day.c, SORTS)
    # What sensors saw is listed once.
    if not sorts or wanted.sensor or "sensor" in wanted.excluded:
        yield first, end
        return
    day = tables.incident_day.c.day
    statement = select(day).where(day >= first // DAY, day <= (end - 1) // DAY, *sorts).distinct()
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
    `SORTS`. Raises `NetwatchError`, and `QueryTimeoutError` after `timeout` s."""
    since = None if wanted.since is None else wanted.since // DAY
    until = None if wanted.until is None else (wanted.until - 1) // DAY
    number: ColumnElement[int] = func.count()
    keys: list[ColumnElement[Any]]
    if wanted.is_of_sorts:
        column = tables.incident_day.c
        number = func.sum(column.incidents)
        keys = [column[name] for name in by]
        statement = select(*keys, number).where(*wanted.conditions(column, SORTS))
        if since is not None:
            statement = statement.where(column.day >= since)
        if until is not None:
            statement = statement.where(column.day <= until)
    else:
        incident = tables.incident.c
        keys = [incident.first_seen // DAY if name == "day" else incident[name] for name in by]
        days = replace(
            wanted,
            since=None if since is None else since * DAY,
            until=None if until is None else (until + 1) * DAY,
        )
        statement = matching_incidents(catalogue.database.engine, select(*keys, number), days)
    with catalogue.database.reading(timeout) as connection:
        rows = connection.execute(statement.group_by(*keys).order_by(*keys))
        return {tuple(row[:-1]): int(row[-1]) for row in rows}


def incidents_by_sensor(catalogue: Catalogue, *, timeout: float | None = None) -> dict[str, int]:
    """How many incidents there are of each sensor with some. Raises `NetwatchError`, and
    `QueryTimeoutError` after `timeout` s."""
    incident, run = tables.incident.c, tables.run.c
    with catalogue.database.reading(timeout) as connection:
        runs = (
            select(incident.run, func.count().label("incidents"))
            .where(is_shown(connection))
            .group_by(incident.run)
            .subquery()
        )
        statement = select(run.sensor, func.sum(runs.c.incidents)).join(runs, runs.c.run == run.id)
        found = connection.execute(statement.group_by(run.sensor))
        return {sensor: int(count) for sensor, count in found}


def incident_row(catalogue: Catalogue, identity: str) -> IncidentRow | None:
    """The shown incident with an id. Raises `NetwatchError`."""
    column = tables.incident.c
    statement = select(*INCIDENT_COLUMNS).where(column.id == identity, column.shown == 1)
    with catalogue.database.reading() as connection:
        row = connection.execute(statement).first()
    return None if row is None else IncidentRow(*row)


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """Which devices are wanted: with an incident from `since` up to, but without, `until` (ns), in
    one of `network`, with `text` in their id, and with incidents of one of the verdicts; none that
    is `excluded` by its ``network`` or ``device``, or by an incident of a ``verdict``."""

    since: int | None = None
    until: int | None = None
    network: frozenset[str] = NO_WORDS
    verdict: frozenset[str] = NO_WORDS
    text: str = ""
    excluded: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device in a network: when its first and last incidents were (ns), and how many it has of
    each verdict, ever."""

    device: str
    network: str
    first_seen: int
    last_seen: int
    violation: int
    advisory: int
    exempt: int


@dataclass(frozen=True, slots=True)
class DevicePage:
    """Some devices, and the last of them if there are more."""

    rows: tuple[DeviceRow, ...]
    following: DeviceRow | None


def device_page(
    catalogue: Catalogue,
    wanted: DeviceFilter,
    after: tuple[int, str, str] | None = None,
    *,
    sort: str = "last_seen",
    is_ascending: bool = False,
    size: int = PAGE,
    timeout: float | None = None,
) -> DevicePage:
    """A page of devices, sorted by one of the numbers of `DeviceRow` or by ``device``: the last
    seen first unless it is said. `after` is that number, `device` and `network` of the last row of
    the previous page; of a page by device, the first is not looked at. Raises `NetwatchError`, and
    `QueryTimeoutError` after `timeout` s."""
    column = tables.incident_device.c
    order: tuple[Any, ...] = (column.device, column.network)
    place: tuple[Any, ...] = after[1:] if after is not None else ()
    if sort != "device":
        order = (column[sort], *order)
        place = after or ()
    columns = (column[name] for name in DeviceRow.__dataclass_fields__)
    statement = matching_devices(select(*columns), wanted)
    if place:
        key, last = tuple_(*order), tuple_(*place)
        statement = statement.where(key > last if is_ascending else key < last)
    order = order if is_ascending else tuple(each.desc() for each in order)
    with catalogue.database.reading(timeout) as connection:
        found = connection.execute(statement.order_by(*order).limit(size + 1)).all()
    rows = tuple(DeviceRow(*row) for row in found)
    return DevicePage(rows[:size], rows[size - 1] if len(rows) > size else None)


def matching_devices(statement: Select[Any], wanted: DeviceFilter) -> Select[Any]:
    """A statement over devices with the conditions of a filter."""
    column = tables.incident_device.c
    if wanted.since is not None:
        statement = statement.where(column.last_seen >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(column.first_seen < wanted.until)
    networks = {"network": wanted.network} if wanted.network else {}
    excluded = {name: words for name, words in wanted.excluded.items() if name != "verdict"}
    statement = statement.where(*word_conditions(column, networks, excluded))
    for name in wanted.excluded.get("verdict", ()):
        statement = statement.where(column[name] == 0)
    if wanted.verdict:
        number: Any = sum((column[name] for name in sorted(wanted.verdict)), 0)
        statement = statement.where(number > 0)
    if wanted.text:
        lower = func.lower(column.device).contains(wanted.text.lower(), autoescape=True)
        # SQLite knows only the lower case of ASCII.
        same = column.device.contains(wanted.text, autoescape=True)
        statement = statement.where(or_(lower, same))
    return statement


def device_networks(
    catalogue: Catalogue, devices: Sequence[str], *, timeout: float | None = None
) -> dict[str, list[str]]:
    """The networks in which each of these devices has shown incidents, in the order of names.
    Raises `NetwatchError`, and `QueryTimeoutError` after `timeout` s."""
    column = tables.incident_device.c
    found: dict[str, list[str]] = {device: [] for device in devices}
    with catalogue.database.reading(timeout) as connection:
        for part in chunks(sorted(found)):
            rows = connection.execute(
                select(column.device, column.network)
                .where(column.device.in_(part))
                .order_by(column.device, column.network)
            )
            for device, network in rows:
                found[device].append(network)
    return found


def device_weeks(
    catalogue: Catalogue,
    devices: Sequence[str],
    since: int,
    until: int,
    zone: tzinfo,
    *,
    network: str = "",
    sensor: str = "",
    timeout: float | None = None,
) -> dict[tuple[str, str, date], int]:
    """How many shown incidents each device had, by device, network and the Monday of the week in a
    time zone, among those that began from `since` up to, but without, `until` (ns); only those in a
    `network`, and seen by a `sensor`, if given. Raises `NetwatchError`, and `QueryTimeoutError`
    after `timeout` s."""
    with catalogue.database.reading(timeout) as connection:
        device = tables.incident_device.c
        place: ColumnElement[bool] = device.device.in_(sorted(devices))
        if network:
            place &= device.network == network
        first, last = connection.execute(
            select(func.min(device.first_seen), func.max(device.last_seen)).where(place)
        ).one()
        if first is None or first >= until or last < since:
            return {}
        weeks = local_spans(max(since, first), min(until, last + 1), zone, days=7)
        number, begin, end = spans_as_rows(connection, [span for _, span in weeks])
        is_first = 0 if connection.dialect.name == "sqlite" else 1  # where numbers begin
        counts = _counted(begin, end, sensor).scalar_subquery()
        is_then = (begin <= device.last_seen) & (end > device.first_seen)
        rows = connection.execute(
            select(device.device, device.network, number, counts).where(place, is_then)
        )
        return {(*who, weeks[int(at) - is_first][0]): count for *who, at, count in rows if count}


def _counted(begin: Any, end: Any, sensor: str) -> Select[Any]:
    """The incidents of a device in a network and a span. Counting a range of the index for each is
    five times as fast as grouping all incidents."""
    incident, device = tables.incident.c, tables.incident_device.c
    count = select(func.count()).where(
        incident.shown == 1,
        incident.device == device.device,
        incident.network == device.network,
        incident.first_seen >= begin,
        incident.first_seen < end,
    )
    if sensor:
        run = tables.run.c
        count = count.where(incident.run.in_(select(run.id).where(run.sensor == sensor)))
    return count
