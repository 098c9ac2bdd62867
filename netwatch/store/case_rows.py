"""Writes the cases of the catalogue: the incidents of sensors, by which words they are found, and
which of them are one case.

Whatever changes an incident, looks for all that could be one case with it
(`netwatch.store.case_neighbours`); then it is decided again what is one
(`netwatch.store.case_members`). Only rows that are different are written. So the work for an alert
depends on the incidents of its device at the time, not on the size of the store.

The table `fleet_case_word` has the hashes of the device of an incident, and when it was seen. It
only has to find all incidents that could be one case; which of them are is decided by their
records. So it has spans that are widened to whole units of `SPAN`: an incident that goes on changes
no row most of the time, and what is looked for within a gap is found, with some that are a little
further away.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select

from netwatch.store import catalogue_tables as tables
from netwatch.store.case_members import Key, Member
from netwatch.store.case_neighbours import Neighbours, members_of_cases
from netwatch.store.case_record import Case, case_line, make_case
from netwatch.store.statements import among, chunks, pairs_among, upsert

SPAN = 300 * 10**9
"""The unit of the spans in the table (ns)."""


Words = Mapping[Key, Mapping[str, tuple[int, int]]]
"""The words of incidents, each with its span."""

_MEMBER = ("run", "case", "begins", "clock_offset", "first_seen", "last_seen")


def write_words(connection: Connection, members: Sequence[Member], known: Words) -> None:
    """Store the words of members, and remove those that they do not have any more: of what is
    `known` to be stored. Only rows that are different are written."""
    rows, stale = [], []
    for member in members:
        sensor, incident = member.key
        before = known.get(member.key, {})
        first, last = member.first // SPAN * SPAN, -(-member.last // SPAN) * SPAN
        rows += [
            {"word": word, "sensor": sensor, "incident": incident,
             "first_seen": first, "last_seen": last}
            for word in sorted(member.words)
            if before.get(word) != (first, last)
        ]  # fmt: skip
        stale += [
            {"word_of": word, "sensor_of": sensor, "incident_of": incident}
            for word in before.keys() - member.words
        ]
    _remove(connection, stale, ("word", "sensor", "incident"))
    upsert(
        connection,
        tables.fleet_case_word,
        rows,
        lambda new: {"first_seen": new.first_seen, "last_seen": new.last_seen},
    )


def remove_words(connection: Connection, keys: Collection[Key]) -> None:
    """Remove all words of incidents."""
    rows = [{"sensor_of": sensor, "incident_of": incident} for sensor, incident in keys]
    _remove(connection, rows, ("sensor", "incident"))


def stored_words(connection: Connection, members: Collection[Member]) -> Words:
    """The words that are stored of those members that are."""
    keys = [member.key for member in members if member.case]
    found: defaultdict[Key, dict[str, tuple[int, int]]] = defaultdict(dict)
    if not keys:
        return found
    column = tables.fleet_case_word.c
    statement = select(
        column.sensor, column.incident, column.word, column.first_seen, column.last_seen
    ).where(pairs_among(connection, (column.sensor, column.incident), keys))
    for sensor, incident, word, first, last in connection.execute(statement).all():
        found[sensor, incident][word] = first, last
    return found


def _remove(connection: Connection, rows: Sequence[dict[str, str]], names: Sequence[str]) -> None:
    if rows:
        column = tables.fleet_case_word.c
        places = [column[name] == bindparam(f"{name}_of") for name in names]
        connection.execute(delete(tables.fleet_case_word).where(*places), rows)


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
        for member in case.members:
            was = near.members[member.key].case
            before.add(was)
            if was != case.id:
                left.add(was)
    before.discard("")
    written = [
        case
        for case in cases
        if case.id in left
        or case.id not in before
        or any(
            member.key in keys or near.members[member.key].case != case.id
            for member in case.members
        )
    ]
    _write_cases(connection, written, before - identities, near.gap)
    rows = [member for case in written for member in case.members]
    _write_incidents(connection, rows)
    write_words(connection, changed, known)


def remove_members(connection: Connection, incidents: Iterable[tuple[int, str]]) -> None:
    """Take incidents, each by its run and id, out of their cases, and decide again what the others
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
                "sensor": member.key[0],
                "incident": member.key[1],
                "run": member.run,
                "case": member.case,
                "begins": member.begins,
                "clock_offset": member.clock_offset,
                "first_seen": member.first_seen,
                "last_seen": member.last_seen,
            }
            for member in members
        ],
        lambda new: {name: new[name] for name in _MEMBER},
    )
