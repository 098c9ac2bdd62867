"""Cases: the incidents of all sensors, with the same contact seen by several sensors as one; how
they are stored and read, by page, by id and by filter.

What belongs together is decided by `netwatch.store.case_members`, and written with the incidents in
one transaction by `netwatch.store.case_rows`, so that any order of arrival, and any repetition,
gives the same cases.

SQLite has one writer at a time. In PostgreSQL several processes can store alerts at once, each from
its own sensors. Incidents can only be one case if they have a word in common, so a transaction
locks the words of all incidents that it considers before it decides, and looks again with those
that it had not locked. A lock is a database advisory lock, until the end of the transaction.

A page begins after the last row of the previous one, as for incidents
(`netwatch.store.incident_pages`).
"""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import closing, suppress
from dataclasses import astuple, dataclass, replace
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    func,
    insert,
    not_,
    or_,
    select,
    text,
    tuple_,
)

from netwatch.core.alert import AlertRecord
from netwatch.store import catalogue_tables as tables
from netwatch.store.case_members import Key, Member
from netwatch.store.case_rows import (
    Neighbours,
    StoredState,
    stored_states,
    stored_words,
    write_members,
)
from netwatch.store.catalogue import Catalogue
from netwatch.store.database import ConflictError
from netwatch.store.incident_pages import PAGE, Cursor, IncidentFilter, IncidentPage, IncidentRow
from netwatch.store.incident_rows import SORTS, write_incidents
from netwatch.store.incident_search import (
    by_severity,
    cases_to_look_at,
    contacts_in_order,
    fitting,
    is_by_severity,
)
from netwatch.store.run_rows import VersionHashes, find_version, version_number
from netwatch.store.statements import (
    Filter,
    Position,
    among,
    chunks,
    fits,
    is_device,
    word_conditions,
)
from netwatch.store.views import streamed

MAX_LOCKS = 2000
"""Words that one transaction may lock. The server has room for some 6,400 locks of all
transactions, unless it is configured otherwise."""

_TAKE = text(
    "SELECT pg_advisory_xact_lock(each)"
    " FROM (SELECT unnest(CAST(:keys AS bigint[])) AS each ORDER BY 1) AS keys"
)

MAX_OFFSET = 366 * 86_400 * 10**9
"""The largest offset of a clock (ns) to correct."""

_version = lru_cache(256)(VersionHashes)

_FEW = 20_000
"""Of so many incidents SQLite reads the cases one by one."""

_INDEXED = ("status", "ban")
"""Columns with an index of their own, by which cases are counted."""

FILTERED = (*SORTS, "device", "joined_by")
"""The columns that a filter can have words for."""

_NAMES = ("id", "first_seen", "last_seen", "record", "sensors")
_COLUMNS = tuple(tables.fleet_case.c[name] for name in _NAMES)


class WordLocks:
    """The words that a PostgreSQL transaction has locked."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._words: set[str] = set()

    def take(self, words: Iterable[str]) -> bool:
        """Lock words; returns whether one of them was not locked before, so that it may have
        changed since it was read. Raises `ConflictError` if they are too many."""
        new = {*words} - self._words
        if not new:
            return False
        self._words |= new
        if len(self._words) > MAX_LOCKS:
            raise ConflictError(f"more than {MAX_LOCKS:,} words of incidents in a transaction")
        # They are hexadecimal hashes. All lock in the same order, so that few have to wait for each
        # other.
        keys = sorted(int(word[:16], 16) - (1 << 63) for word in new)
        self._connection.execute(_TAKE, {"keys": keys})
        return True


@dataclass(frozen=True, slots=True)
class SensorAlert:
    """An alert of a sensor: its record, which passed `netwatch.fleet.sensor_records`, and that
    record as its JSON line, without the end. `clock_offset` is how far the sensor's clock was ahead
    of the one here (ns), at most `MAX_OFFSET`."""

    sensor: str
    record: AlertRecord
    line: str
    clock_offset: int = 0


def keep_alerts(
    catalogue: Catalogue, alerts: Sequence[SensorAlert], gap: int, *, beside_others: bool = False
) -> int:
    """Store alerts with the cases that they belong to, all in one transaction; returns for how many
    incidents there was something new. `gap` is the quiet gap of incidents in ns. `beside_others`
    means that other processes may store alerts of other sensors at the same time, in PostgreSQL.
    Raises `NetwatchError`; then none is stored."""
    database = catalogue.database
    if beside_others:
        _add_runs(catalogue, alerts)
        with suppress(ConflictError), database.writing() as connection:
            database.lock_shared(connection)
            return _store(connection, alerts, gap, WordLocks(connection))
    with database.writing(numbers=True) as connection:
        return _store(connection, alerts, gap, None)


def _add_runs(catalogue: Catalogue, alerts: Sequence[SensorAlert]) -> None:
    """Store the runs of alerts that are new, while no other process does."""
    sources = {(alert.sensor, _hashes(alert.record)) for alert in alerts}
    with catalogue.database.reading() as connection:
        if known_runs(connection, sources).keys() == sources:
            return
    with catalogue.database.writing(numbers=True) as connection:
        sensor_runs(connection, sources)


def _store(
    connection: Connection, alerts: Sequence[SensorAlert], gap: int, locks: WordLocks | None
) -> int:
    """Store alerts within a transaction. With `locks` others can do the same, and `ConflictError`
    is raised if no other process may."""
    offered: dict[Key, Member] = {}
    for alert in alerts:
        offset = max(-MAX_OFFSET, min(MAX_OFFSET, alert.clock_offset))
        member = Member.of(alert.sensor, alert.record, alert.line, offset)
        known = offered.get(member.key)
        offered[member.key] = member if known is None else known.merged(member)
    if locks is not None:
        locks.take(word for member in offered.values() for word in member.words)
    while True:
        changed = _changed(connection, offered)
        near = Neighbours(connection, changed, gap)
        words = stored_words(connection, changed)
        if locks is None:
            break
        if not near.is_whole:
            raise ConflictError("more incidents are near each other than are looked at together")
        seen = {word for member in near.members.values() for word in member.words}
        if not locks.take(seen.union(*words.values())):
            break
    if not changed:
        return 0
    counts = write_incidents(
        connection,
        ((member.run, member.record, member.line) for member in changed if member.run is not None),
    )
    write_members(connection, near, words)
    counts.write(connection)
    return len(changed)


def _changed(connection: Connection, offered: Mapping[Key, Member]) -> list[Member]:
    """The alerts with something new, each as it will be, with its run."""
    stored = stored_states(connection, offered)
    changed = [
        newest
        for key, member in offered.items()
        if (newest := _newest(key[0], stored.get(key), member)) is not None
    ]
    runs = sensor_runs(connection, {_source(member) for member in changed if member.run is None})
    return [
        member if member.run is not None else member.placed(runs[_source(member)], member.case)
        for member in changed
    ]


def _newest(sensor: str, known: StoredState | None, member: Member) -> Member | None:
    """An incident updated with a state from a sensor; None if there is nothing new."""
    if known is None:
        return member
    first = min(known.first_seen, member.first_seen)
    last = max(known.last_seen, member.last_seen)
    if known.rank < member.rank:
        return replace(member, first_seen=first, last_seen=last, case=known.case)
    is_wider = (first, last) != (known.first_seen, known.last_seen)
    if known.line == member.line and not is_wider:
        return None
    before = known.member(sensor)
    newest = before.merged(member)
    return newest if is_wider or newest.line != known.line else None


def sensor_runs(
    connection: Connection, sources: Collection[tuple[str, VersionHashes]]
) -> dict[tuple[str, VersionHashes], int]:
    """The runs for reports of sensors under some versions: the newest one of each, or a new one. It
    is a ``live`` run that does not end."""
    found = known_runs(connection, sources)
    for sensor, hashes in sorted({*sources} - found.keys(), key=_in_order):
        values = {
            "command": "live",
            "sensor": sensor,
            "version": version_number(connection, hashes),
            "named": 1,
        }
        result = connection.execute(insert(tables.run).values(started=time.time_ns(), **values))
        found[sensor, hashes] = int(result.inserted_primary_key[0])  # type: ignore[index]
    return found


def known_runs(
    connection: Connection, sources: Collection[tuple[str, VersionHashes]]
) -> dict[tuple[str, VersionHashes], int]:
    """The stored ones of these runs."""
    versions = {
        number: hashes
        for hashes in sorted({hashes for _, hashes in sources}, key=astuple)
        if (number := find_version(connection, hashes)) is not None
    }
    column = tables.run.c
    found: dict[tuple[str, VersionHashes], int] = {}
    for part in chunks(sorted({sensor for sensor, _ in sources})):
        statement = (
            select(column.sensor, column.version, func.max(column.id).label("id"))
            .where(
                column.command == "live",
                column.sensor.in_(part),
                column.version.in_([*versions]),
            )
            .group_by(column.sensor, column.version)
        )
        for row in connection.execute(statement):
            source = row.sensor, versions[row.version]
            if source in sources:
                found[source] = row.id
    return found


def _in_order(source: tuple[str, VersionHashes]) -> tuple[str, ...]:
    sensor, hashes = source
    return sensor, *astuple(hashes)


def _source(member: Member) -> tuple[str, VersionHashes]:
    return member.sensor, _hashes(member.record)


def _hashes(record: Mapping[str, Any]) -> VersionHashes:
    said = record["versions"].get
    return _version(
        said("netwatch") or "",
        said("signatures") or "",
        said("bans") or "",
        said("configuration") or "",
    )


def case_page(
    catalogue: Catalogue,
    wanted: IncidentFilter,
    after: Cursor | None = None,
    *,
    size: int = PAGE,
    oldest_first: bool = False,
    timeout: float | None = None,
) -> IncidentPage:
    """A page of cases, the newest first unless `oldest_first` is set. Raises `NetwatchError`, and
    `QueryTimeoutError` after `timeout` s."""
    case = tables.fleet_case.c
    ids = matching_cases(catalogue, select(case.id), wanted)
    if after is not None:
        place, key = tuple_(after.first_seen, after.id), tuple_(case.first_seen, case.id)
        ids = ids.where(key > place if oldest_first else key < place)
    ids = _ordered(ids, (case.first_seen, case.id), oldest_first).limit(size + 1)
    # Where SQLite sorts, it would sort the records with the ids. What is computed is in no index.
    statement = select(*_COLUMNS).where(case.id.in_(ids))
    statement = _ordered(statement, (case.first_seen + 0, case.id), oldest_first)
    with catalogue.database.reading(timeout) as connection:
        rows = [_row(row) for row in connection.execute(statement)]
    return IncidentPage.of(rows, size)


def _ordered(statement: Select[Any], order: Iterable[Any], oldest_first: bool) -> Select[Any]:
    return statement.order_by(*(each if oldest_first else each.desc() for each in order))


def matching_cases(
    catalogue: Catalogue, statement: Select[Any], wanted: IncidentFilter
) -> Select[Any]:
    """A statement over the cases of a catalogue with the conditions of a filter."""
    case = tables.fleet_case.c
    if wanted.since is not None:
        statement = statement.where(case.first_seen >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(case.first_seen < wanted.until)
    words = {name: texts for name in FILTERED if (texts := getattr(wanted, name))}
    excluded = {name: texts for name, texts in wanted.excluded.items() if name in FILTERED}
    statement = statement.where(*_conditions(words, excluded))
    if wanted.chosen is not None:
        statement = statement.where(wanted.chosen.condition)
    if wanted.seen > 1:
        statement = statement.where(case.sensors >= wanted.seen)
    others = wanted.excluded.get("sensor", frozenset())
    return statement.where(*_seen_by(catalogue, wanted.sensor, others))


def _seen_by(
    catalogue: Catalogue, wanted: Set[str], excluded: Set[str]
) -> Iterator[ColumnElement[bool]]:
    """The conditions that one of the `wanted` sensors saw a case, unless there are none, and none
    of the `excluded` ones."""
    case, member = tables.fleet_case.c, tables.fleet_case_incident.c
    is_server = catalogue.database.engine.dialect.name == "postgresql"
    for sensors, is_wanted in (wanted, True), (excluded, False):
        if sensors:
            seen = select(member.case).where(member.sensor.in_(sorted(sensors)))
            # PostgreSQL joins both. SQLite makes a list of those seen, and begins with it if it is
            # short. Else it reads cases in their order: what is computed is in no index.
            found: ColumnElement[bool]
            if is_server:
                found = seen.where(member.case == case.id).exists()
            elif is_wanted and saw_few(catalogue, sensors):
                found = case.id.in_(seen)
            else:
                found = case.id.concat("").in_(seen)
            yield found if is_wanted else not_(found)


def saw_few(catalogue: Catalogue, sensors: Set[str]) -> bool:
    """Whether sensors have so few incidents that it is best to begin with these."""
    member = tables.fleet_case_incident.c
    seen = select(member.incident).where(member.sensor.in_(sorted(sensors))).limit(_FEW + 1)
    with catalogue.database.reading() as connection:
        count = connection.execute(select(func.count()).select_from(seen.subquery())).scalar_one()
    return int(count) <= _FEW


def cases_by_id(connection: Connection, ids: Collection[str]) -> dict[str, IncidentRow]:
    """The cases with these ids, which are few."""
    rows = connection.execute(select(*_COLUMNS).where(tables.fleet_case.c.id.in_(ids)))
    return {row.id: _row(row) for row in rows}


def _conditions(
    wanted: Mapping[str, Set[str]], excluded: Mapping[str, Set[str]]
) -> Iterator[ColumnElement[bool]]:
    """The conditions of words on cases. SQLite would take the index of states or of bans, in which
    nearly all cases are together, and sort these: what is computed is in no index."""
    case = tables.fleet_case.c
    others = {name: texts for name, texts in wanted.items() if name not in _INDEXED}
    yield from word_conditions(case, others, excluded)
    for name in _INDEXED:
        if name in wanted:
            yield case[name].concat("").in_(sorted(wanted[name]))


def _row(row: Row[Any]) -> IncidentRow:
    return IncidentRow(row.id, row.first_seen, row.last_seen, row.record, sensors=row.sensors)


def case_row(catalogue: Catalogue, identity: str) -> IncidentRow | None:
    """The case with an id. The id that it had before an earlier incident came, and the ids of its
    incidents, also lead to it. Raises `NetwatchError`."""
    case, member = tables.fleet_case.c, tables.fleet_case_incident.c
    with catalogue.database.reading() as connection:
        row = connection.execute(select(*_COLUMNS).where(case.id == identity)).first()
        if row is None:
            names = or_(member.begins == identity, member.incident == identity)
            of_member = select(member.case).where(names).order_by(member.first_seen).limit(1)
            found = connection.execute(of_member).scalar()
            if found is not None:
                row = connection.execute(select(*_COLUMNS).where(case.id == found)).first()
    return None if row is None else _row(row)


def cases_of_incident(catalogue: Catalogue, incident: str) -> list[str]:
    """The ids of the cases with an incident: at most one for each sensor that has it."""
    member = tables.fleet_case_incident.c
    statement = select(member.case).where(member.incident == incident).distinct()
    with catalogue.database.reading() as connection:
        return sorted(connection.execute(statement).scalars())


def incidents_of_cases(catalogue: Catalogue, cases: Sequence[str]) -> Mapping[str, list[str]]:
    """The ids of the incidents of some cases. Raises `NetwatchError`."""
    member, found = tables.fleet_case_incident.c, dict[str, list[str]]()
    with catalogue.database.reading() as connection:
        for part in chunks(cases):
            rows = select(member.case, member.incident).where(member.case.in_(part)).distinct()
            for case, incident in connection.execute(rows):
                found.setdefault(case, []).append(incident)
    return found


def open_cases(catalogue: Catalogue, *, timeout: float | None = None) -> Mapping[str, int]:
    """How many cases are not closed, by verdict."""
    case = tables.fleet_case.c
    statement = (
        select(case.verdict, func.count())
        .where(case.status.in_(("open", "update")))
        .group_by(case.verdict)
    )
    with catalogue.database.reading(timeout) as connection:
        return {verdict: int(count) for verdict, count in connection.execute(statement)}


def case_counts(
    catalogue: Catalogue, *, timeout: float | None = None
) -> Mapping[tuple[str, str], int]:
    """How many cases there are, by ban and verdict. It reads an index of all cases. Raises
    `NetwatchError`, and `QueryTimeoutError` after `timeout` s."""
    case = tables.fleet_case.c
    statement = select(case.ban, case.verdict, func.count()).group_by(case.ban, case.verdict)
    with catalogue.database.reading(timeout) as connection:
        return {(ban, verdict): int(count) for ban, verdict, count in connection.execute(statement)}


def members_by_sensor(catalogue: Catalogue, *, timeout: float | None = None) -> dict[str, int]:
    """How many incidents of cases each sensor has. Raises `NetwatchError`, and `QueryTimeoutError`
    after `timeout` s."""
    sensor = tables.fleet_case_incident.c.sensor
    with catalogue.database.reading(timeout) as connection:
        rows = connection.execute(select(sensor, func.count()).group_by(sensor))
        return {name: int(count) for name, count in rows}


def has_cases(catalogue: Catalogue) -> bool:
    """Whether a store has any case."""
    with catalogue.database.reading() as connection:
        return connection.execute(select(tables.fleet_case.c.id).limit(1)).first() is not None


def is_centre(catalogue: Catalogue) -> bool:
    """Whether a store belongs to a centre: it has a case, or an enrolled sensor."""
    enrolled = select(tables.fleet_sensor.c.name).where(tables.fleet_sensor.c.enrolled.is_not(None))
    with catalogue.database.reading() as connection:
        return any(
            connection.execute(statement.limit(1)).first() is not None
            for statement in (select(tables.fleet_case.c.id), enrolled)
        )


def cases(catalogue: Catalogue, wanted: Filter) -> Iterator[str]:
    """The records of cases by filter, each as its JSON line, in the order of time."""
    return (text for text, _ in cases_after(catalogue, wanted))


def cases_after(
    catalogue: Catalogue,
    wanted: Filter,
    after: Position | None = None,
    *,
    timeout: float | None = None,
) -> Iterator[tuple[str, Position]]:
    """The same behind a position (when it began, and the id), each with its own; in another order
    as `incidents_after` has it. Raises `QueryTimeoutError` after `timeout` s."""
    if is_by_severity(wanted):
        yield from by_severity(wanted, after, partial(cases_after, catalogue, timeout=timeout))
        return
    case = tables.fleet_case.c
    place: tuple[Any, Any] = (case.first_seen, case.id)
    statement = select(case.record, *place)
    with catalogue.database.reading(timeout) as connection:
        few = cases_to_look_at(connection, wanted)
    if few is not None:
        # These are read and sorted: a sum is in no index.
        place = (case.first_seen + 0, case.id)
        statement = statement.where(among(catalogue.database.engine, case.id, few))
    if wanted.since is not None:
        statement = statement.where(case.last_seen >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(case.first_seen < wanted.until)
    statement = statement.where(
        *_conditions(wanted.words, wanted.excluded_words),
        *_seen_by(catalogue, wanted.sensors, wanted.excluded_sensors),
    )
    if wanted.chosen is not None:
        statement = statement.where(wanted.chosen.condition)
    does_fit = fits(wanted, _is_of)
    if wanted.sort:
        with (
            catalogue.database.reading(timeout) as connection,
            closing(
                contacts_in_order(connection, tables.fleet_case, statement, wanted, after)
            ) as rows,
        ):
            yield from fitting(rows, wanted, does_fit)
        return
    if after is not None:
        statement = statement.where(tuple_(*place) > after)
    yield from fitting(streamed(catalogue, statement.order_by(*place), timeout), wanted, does_fit)


def _is_of(word: str, record: Mapping[str, Any]) -> bool:
    """Whether a case is of the device that a word names, or a sensor calls it so."""
    return is_device(word, record["device"]) or any(
        seen["device"] == word for seen in record["seen_by"]
    )
