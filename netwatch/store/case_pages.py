"""Cases as they are kept: lists a page at a time, one by its id, and all by filter.

A page begins behind the last row of the one before it, as those of incidents do
(`netwatch.store.incident_pages`).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Row, func, or_, select, tuple_

from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.incident_pages import PAGE, Cursor, IncidentFilter, IncidentPage, IncidentRow
from netwatch.store.incident_rows import SORTS
from netwatch.store.statements import Filter, is_device, name_matches
from netwatch.store.views import streamed

FILTERED = (*SORTS, "device", "joined_by")
"""The columns that a filter has words of."""

_NAMES = ("id", "first_seen", "last_seen", "record", "sensors")
_COLUMNS = tuple(tables.fleet_case.c[name] for name in _NAMES)


def case_page(
    catalogue: Catalogue,
    wanted: IncidentFilter,
    after: Cursor | None = None,
    *,
    size: int = PAGE,
    timeout: float | None = None,
) -> IncidentPage:
    """A page of cases, the newest first. Raises `NetwatchError`, and `QueryTimeoutError` after
    `timeout` s."""
    case, member = tables.fleet_case.c, tables.fleet_case_incident.c
    statement = select(*_COLUMNS)
    if wanted.since is not None:
        statement = statement.where(case.first_seen >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(case.first_seen < wanted.until)
    for name in FILTERED:
        if words := getattr(wanted, name):
            statement = statement.where(case[name].in_(sorted(words)))
    if wanted.seen > 1:
        statement = statement.where(case.sensors >= wanted.seen)
    if wanted.sensor:
        seen = select(member.case).where(
            member.case == case.id, member.sensor.in_(sorted(wanted.sensor))
        )
        statement = statement.where(seen.exists())
    if after is not None:
        place = tuple_(after.first_seen, after.id)
        statement = statement.where(tuple_(case.first_seen, case.id) < place)
    statement = statement.order_by(case.first_seen.desc(), case.id.desc()).limit(size + 1)
    with catalogue.database.reading(timeout) as connection:
        rows = [_row(row) for row in connection.execute(statement)]
    return IncidentPage.of(rows, size)


def _row(row: Row[Any]) -> IncidentRow:
    return IncidentRow(row.id, row.first_seen, row.last_seen, row.record, sensors=row.sensors)


def case_row(catalogue: Catalogue, identity: str) -> IncidentRow | None:
    """The case with an id. The id that it had before an earlier incident came, and the ids of its
    incidents, lead to it as well. Raises `NetwatchError`."""
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
    """The ids of the cases that an incident is in: one for each sensor that has it, at most."""
    member = tables.fleet_case_incident.c
    statement = select(member.case).where(member.incident == incident).distinct()
    with catalogue.database.reading() as connection:
        return sorted(connection.execute(statement).scalars())


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


def has_cases(catalogue: Catalogue) -> bool:
    """Whether a store has any case."""
    with catalogue.database.reading() as connection:
        return connection.execute(select(tables.fleet_case.c.id).limit(1)).first() is not None


def is_centre(catalogue: Catalogue) -> bool:
    """Whether a store is that of a centre: it has a case, or a sensor that was enrolled."""
    enrolled = select(tables.fleet_sensor.c.name).where(tables.fleet_sensor.c.enrolled.is_not(None))
    with catalogue.database.reading() as connection:
        return any(
            connection.execute(statement.limit(1)).first() is not None
            for statement in (select(tables.fleet_case.c.id), enrolled)
        )


def cases(catalogue: Catalogue, wanted: Filter) -> Iterator[str]:
    """The records of cases by filter, each as its line of JSON, in the order of time."""
    case = tables.fleet_case.c
    statement = select(case.record)
    if wanted.since is not None:
        statement = statement.where(case.last_seen >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(case.first_seen < wanted.until)
    for column, words in (
        (case.app, wanted.apps),
        (case.ban, wanted.bans),
        (case.network, wanted.networks),
        (case.verdict, wanted.verdicts),
    ):
        if words:
            statement = statement.where(column.in_(sorted(words)))
    found = 0
    for (text,) in streamed(catalogue, statement.order_by(case.first_seen, case.id)):
        if (wanted.device or wanted.names) and not _matches(json.loads(text), wanted):
            continue
        yield text
        found += 1
        if found == wanted.limit:
            return


def _matches(record: Mapping[str, Any], wanted: Filter) -> bool:
    if wanted.device and not (
        is_device(wanted.device, record["device"])
        or any(each["device"] == wanted.device for each in record["seen_by"])
    ):
        return False
    return not wanted.names or any(
        name_matches(pattern, name) for pattern in wanted.names for name in record["names"]
    )
