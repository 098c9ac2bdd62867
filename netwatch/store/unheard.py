"""Closes incidents whose end will never be reported: of sensors that are silent or have restarted
without them, and of live runs that are gone.

Such an incident would stay open for ever. Once its sensor was silent for a configured time
(``incidents: unheard``) it is closed with a mark, `UNHEARD`: the start of the silence, and the last
reported status. Its end is not known. What its sensor reports later replaces the record, and with
it the mark.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, and_, func, not_, or_, select

from netwatch.core.alert import UNHEARD, AlertRecord
from netwatch.formats.values import json_line, rfc3339
from netwatch.store import catalogue_tables as tables
from netwatch.store.case_members import Member
from netwatch.store.case_rows import Neighbours, stored_words, write_members
from netwatch.store.catalogue import Catalogue
from netwatch.store.incident_rows import store_incidents, write_incidents
from netwatch.store.opening import UseLock
from netwatch.store.statements import chunks

AT_A_TIME = 500
"""Incidents to close in one transaction."""

_NO_START = 1 << 33
"""Seconds since the epoch after which no sensor can have started."""

Found = Sequence[tuple[Member, int]]
"""Incidents as they will be, each with the quiet gap of its case."""

_DIGITS = 3


def marked(record: AlertRecord, since: int) -> AlertRecord:
    """The record of an open incident without news since a time (ns)."""
    mark = {"since": rfc3339(since, _DIGITS), "status": record["status"]}
    return {**record, "status": "closed", UNHEARD: mark}


def close_of_silent_sensors(catalogue: Catalogue, before: int) -> int:
    """Close the open incidents of sensors that are silent, stopped or revoked and were last heard
    before a time (ns); returns how many. Raises `NetwatchError`."""
    return _close_all(catalogue, lambda connection: _of_silent_sensors(connection, before))


def close_of_restarted_sensors(catalogue: Catalogue, before: int) -> int:
    """Close the open incidents of sensors that are heard, but have restarted without reporting more
    about them: a sensor that resumed an incident would have reported its end by now, since both the
    start and the quiet gap after the last contact end before a time (ns). Returns how many. Raises
    `NetwatchError`."""
    with catalogue.database.reading() as connection:
        started = _starts(connection, before)
    closed = 0
    for part in chunks(sorted(started.items())):
        closed += _close_all(catalogue, partial(_of_earlier_runs, starts=part, before=before))
    return closed


def _close_all(catalogue: Catalogue, find: Callable[[Connection], Found]) -> int:
    """Close what is found, in batches, until nothing more is."""
    closed = 0
    while True:
        with catalogue.database.writing(numbers=True) as connection:
            found = find(connection)
            _close_members(connection, found)
        closed += len(found)
        if len(found) < AT_A_TIME:
            return closed


def close_of_ended_runs(catalogue: Catalogue, lock: UseLock, before: int) -> int:
    """Close the open incidents of live runs that no process writes any more, and that were last
    heard before a time (ns); returns how many. Raises `NetwatchError`."""
    with catalogue.database.reading() as connection:
        rows = _of_runs(connection)
    is_written = {run: lock.is_written(run) for run in sorted({row.run for row in rows})}
    heard = {(row.run, row.id): _heard(row) for row in rows if not is_written[row.run]}
    due = {key: since for key, since in heard.items() if since < before}
    if not due:
        return 0
    with catalogue.database.writing(numbers=True) as connection:
        closed = [
            (row.run, marked(json.loads(row.record), due[row.run, row.id]))
            for row in _of_runs(connection)
            if (row.run, row.id) in due
        ]
        store_incidents(connection, [(run, each, json_line(each)) for run, each in closed])
    return len(closed)


def _is_open() -> ColumnElement[bool]:
    incident = tables.incident.c
    return and_(incident.shown == 1, incident.status != "closed")


def _is_silent() -> ColumnElement[bool]:
    sensor = tables.fleet_sensor.c
    return (
        sensor.name.is_(None)
        | sensor.silent_since.is_not(None)
        | sensor.status.contains('"state":"stopped"')
    )


def _last_contact() -> ColumnElement[int]:
    """The time of the last contact of an incident, by the clock here."""
    member = tables.fleet_case_incident.c
    return member.last_seen - member.clock_offset


def _end() -> ColumnElement[int]:
    """When an incident ends unless it has another contact, by the clock here."""
    return _last_contact() + tables.fleet_case.c.gap


def _joined() -> FromClause:
    """The incidents of sensors with their cases and what is known about the sensors."""
    member, incident = tables.fleet_case_incident.c, tables.incident.c
    return (
        tables.incident.join(
            tables.fleet_case_incident,
            and_(member.run == incident.run, member.incident == incident.id),
        )
        .join(tables.fleet_case, tables.fleet_case.c.id == member.case)
        .outerjoin(tables.fleet_sensor, tables.fleet_sensor.c.name == member.sensor)
    )


def _of_silent_sensors(connection: Connection, before: int) -> Found:
    # A sensor that is no longer on the roster has no time of its own.
    heard = func.coalesce(tables.fleet_sensor.c.heard, _last_contact())
    return _found(connection, heard, _is_silent(), heard < before)


def _starts(connection: Connection, before: int) -> dict[str, int]:
    """When sensors started that are heard and have open incidents without news for long; in ns by
    their own clocks. One that started after a time (ns), or does not report its start, is left
    out."""
    sensor = tables.fleet_sensor.c
    rows = connection.execute(
        select(sensor.name, sensor.status, sensor.clock_offset)
        .select_from(_joined())
        .where(_is_open(), not_(_is_silent()), _end() < before)
        .distinct()
    )
    found = {}
    for name, status, offset in rows:
        started = json.loads(status).get("started") if status else None
        if isinstance(started, int | float) and 0 < started < _NO_START:
            start = int(started * 1_000_000_000)
            if start - (offset or 0) < before:
                found[name] = start
    return found


def _of_earlier_runs(
    connection: Connection, starts: Iterable[tuple[str, int]], before: int
) -> Found:
    """Those that began before their sensors started."""
    member = tables.fleet_case_incident.c
    began = (and_(member.sensor == name, member.first_seen < start) for name, start in starts)
    return _found(connection, _last_contact(), or_(*began), _end() < before)


def _found(
    connection: Connection, heard: ColumnElement[int], *conditions: ColumnElement[bool]
) -> Found:
    """Open incidents of sensors as they will be: without news since `heard`."""
    member, incident = tables.fleet_case_incident.c, tables.incident.c
    rows = connection.execute(
        select(
            member.sensor, member.run, member.case, member.clock_offset, member.first_seen,
            member.last_seen, incident.record, heard.label("heard"), tables.fleet_case.c.gap,
        )
        .select_from(_joined())
        .where(_is_open(), *conditions)
        .order_by(member.sensor, member.incident)
        .limit(AT_A_TIME)
    ).all()  # fmt: skip
    return [(_member(row), row.gap) for row in rows]


def _member(row: Any) -> Member:
    record = marked(json.loads(row.record), row.heard)
    span = row.first_seen, row.last_seen
    line = json_line(record)
    return Member.of(row.sensor, record, line, row.clock_offset, span, run=row.run, case=row.case)


def _close_members(connection: Connection, found: Iterable[tuple[Member, int]]) -> None:
    by_gap: dict[int, list[Member]] = {}
    for member, gap in found:
        by_gap.setdefault(gap, []).append(member)
    for gap, members in by_gap.items():
        counts = write_incidents(
            connection,
            [(each.run, each.record, each.line) for each in members if each.run is not None],
        )
        near = Neighbours(connection, members, gap)
        write_members(connection, near, stored_words(connection, members))
        counts.write(connection)


def _of_runs(connection: Connection) -> Sequence[Any]:
    """The open incidents of live runs of this store, with the times of the run."""
    incident, run, member = tables.incident.c, tables.run.c, tables.fleet_case_incident.c
    last = (
        select(func.max(tables.capture.c.last))
        .where(tables.capture.c.run == run.id)
        .correlate(tables.run)
        .scalar_subquery()
    )
    joined = (
        tables.incident.join(tables.run, run.id == incident.run)
        .outerjoin(
            tables.fleet_case_incident,
            and_(member.run == incident.run, member.incident == incident.id),
        )
        .outerjoin(tables.run_writing, tables.run_writing.c.run == run.id)
    )
    statement = (
        select(
            incident.run, incident.id, incident.record, incident.last_seen, run.started,
            run.ended, tables.run_writing.c.at, last.label("last"),
        )
        .select_from(joined)
        .where(_is_open(), run.command == "live", member.sensor.is_(None))
        .order_by(incident.run, incident.id)
        .limit(AT_A_TIME)
    )  # fmt: skip
    return connection.execute(statement).all()


def _heard(row: Any) -> int:
    """When something was last heard of a run: its end, or what it wrote last (ns)."""
    times = (row.started, row.ended, row.at, row.last, row.last_seen)
    return max(int(time) for time in times if time is not None)
