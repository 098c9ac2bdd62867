"""Writes the cases of the catalogue: the incidents of sensors, and which of them are one case.

Whatever changes an incident, looks for all that could be one case with it
(`netwatch.store.case_neighbours`); then it is decided anew what is one
(`netwatch.store.case_grouping`). Only rows that are different are written. So the work for an alert
depends on the incidents of its device at the time, not on the size of the store.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select

from netwatch.store import catalogue_tables as tables
from netwatch.store.case_members import Key, Member
from netwatch.store.case_neighbours import Neighbours
from netwatch.store.case_reading import members_of_cases
from netwatch.store.case_record import Case, case_line, make_case
from netwatch.store.case_words import Words, remove_words, stored_words, write_words
from netwatch.store.chunks import among, chunks
from netwatch.store.upsert import upsert

_MEMBER = ("run", "case", "begins", "clock_offset", "first_seen", "last_seen")


def write_members(connection: Connection, near: Neighbours, known: Words) -> None:
    """Store members that are new or different, with which `near` was made, and all cases that
    change with them. `known` are the words of them that are stored."""
    changed = list(near.changed.values())
    keys = near.changed.keys()
    cases = [make_case(members) for members in near.groups()]
    identities = {case.id for case in cases}
    before: set[str] = set()
    left: set[str] = set()
    for case in cases:
        for each in case.members:
            was = near.members[each.key].case
            before.add(was)
            if was != case.id:
                left.add(was)
    before.discard("")
    written = [
        case
        for case in cases
        if case.id in left
        or case.id not in before
        or any(each.key in keys or near.members[each.key].case != case.id for each in case.members)
    ]
    _write_cases(connection, written, before - identities, near.gap)
    rows = [each for case in written for each in case.members]
    _write_incidents(connection, rows)
    write_words(connection, changed, known)


def remove_members(connection: Connection, incidents: Iterable[tuple[int, str]]) -> None:
    """Take incidents, each by its run and id, out of their cases, and decide anew what the others
    are. Does nothing in a store without cases."""
    if connection.execute(select(tables.fleet_case_incident.c.sensor).limit(1)).first() is None:
        return
    wanted = set(incidents)
    column = tables.fleet_case_incident.c
    gone: list[Key] = []
    cases: set[str] = set()
    for part in chunks(sorted({identity for _, identity in wanted})):
        for row in connection.execute(
            select(column.sensor, column.incident, column.run, column.case).where(
                column.incident.in_(part)
            )
        ):
            if (row.run, row.incident) in wanted:
                gone.append((row.sensor, row.incident))
                cases.add(row.case)
    for sensor, incident in gone:
        place = (column.sensor == sensor) & (column.incident == incident)
        connection.execute(delete(tables.fleet_case_incident).where(place))
    remove_words(connection, gone)
    for part in chunks(sorted(cases)):
        case = tables.fleet_case.c
        gaps: dict[str, int] = {
            row.id: row.gap
            for row in connection.execute(select(case.id, case.gap).where(case.id.in_(part)))
        }
        left: defaultdict[str, list[Member]] = defaultdict(list)
        for member in members_of_cases(connection, part).values():
            left[member.case].append(member)
        connection.execute(delete(tables.fleet_case).where(case.id.in_(part)))
        for identity, members in left.items():
            near = Neighbours(connection, members, gaps[identity])
            write_members(connection, near, stored_words(connection, members))


def _write_cases(
    connection: Connection, cases: Sequence[Case], removed: set[str], gap: int
) -> None:
    if removed:
        gone = among(connection, tables.fleet_case.c.id, removed)
        connection.execute(delete(tables.fleet_case).where(gone))
    names = [column.name for column in tables.fleet_case.columns if column.name != "id"]
    upsert(
        connection,
        tables.fleet_case,
        [_case_values(case, gap) for case in cases],
        lambda new: {name: new[name] for name in names},
    )


def _case_values(case: Case, gap: int) -> dict[str, Any]:
    record = case.record
    return {
        "id": case.id,
        "status": record["status"],
        "verdict": record["verdict"],
        "confidence": record["confidence"],
        "kind": record["kind"]["value"],
        "outcome": record["outcome"],
        "app": record["app"]["id"],
        "ban": record["ban"]["id"],
        "device": record["device"]["id"] or "",
        "network": record["network"]["name"] or "",
        "joined_by": case.joined_by or "",
        "sensors": case.sensors,
        "incidents": len(case.members),
        "first_seen": case.first_seen,
        "last_seen": case.last_seen,
        "gap": gap,
        "record": case_line(case),
    }


def _write_incidents(connection: Connection, members: Sequence[Member]) -> None:
    upsert(
        connection,
        tables.fleet_case_incident,
        [
            {
                "sensor": each.key[0],
                "incident": each.key[1],
                "run": each.run,
                "case": each.case,
                "begins": each.begins,
                "clock_offset": each.clock_offset,
                "first_seen": each.first_seen,
                "last_seen": each.last_seen,
            }
            for each in members
        ],
        lambda new: {name: new[name] for name in _MEMBER},
    )
