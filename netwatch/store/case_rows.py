"""Writes the cases of the catalogue: the incidents of sensors, and which of them are one case.

Whatever changes an incident, looks for others of the same device by `fleet_case_word`, for those
of the same device again, and so on, until all that could be one case is found; then it is decided
anew what is (`netwatch.store.case_grouping`). Only rows that are different are written. So the
work for an alert depends on the incidents of its device at the time, not on the size of the store.

At most `MEMBER_LIMIT` incidents are looked at together. Where there are more, which a sensor that
forges alerts could bring about, further ones are cases of their own.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, select

from netwatch.store import catalogue_tables as tables
from netwatch.store.case_grouping import distance, group
from netwatch.store.case_members import Key, Member
from netwatch.store.case_record import Case, case_line, make_case
from netwatch.store.chunks import chunks
from netwatch.store.upsert import insert_rows, upsert

MEMBER_LIMIT = 256
"""Incidents that are looked at together; see the head."""

_MAX_ROWS = 16 * MEMBER_LIMIT  # of the words of up to CHUNK / 4 alerts, which have a few rows each
_MEMBER = ("run", "case", "begins", "clock_offset", "first_seen", "last_seen")


def stored_members(connection: Connection, keys: Iterable[Key]) -> dict[Key, Member]:
    """The members with these keys that are stored."""
    wanted = set(keys)
    column = tables.fleet_case_incident.c
    found: dict[Key, Member] = {}
    for part in chunks(sorted({incident for _, incident in wanted})):
        found |= _read(connection, column.incident.in_(part))
    return {key: member for key, member in found.items() if key in wanted}


def write_members(connection: Connection, changed: Sequence[Member], gap: int) -> None:
    """Store members that are new or different, and all cases that change with them. `gap` is the
    quiet gap in ns."""
    if not changed:
        return
    near = _Neighbours(connection, changed, gap)
    keys = {each.key for each in changed}
    cases = [make_case(members) for members in near.groups()]
    before = {near.members[each.key].case for case in cases for each in case.members} - {""}
    written = [
        case
        for case in cases
        if case.id not in before
        or any(each.key in keys for each in case.members)
        or any(near.members[each.key].case != case.id for each in case.members)
        or _has_left(case, near.members.values())
    ]
    _write_cases(connection, written, before - {case.id for case in cases}, gap)
    rows = [each for case in written for each in case.members]
    _write_incidents(connection, rows)
    _remove_words(connection, [each.key for each in changed if each.case])
    _write_words(connection, [each for each in rows if each.key in keys])


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
    _remove_words(connection, gone)
    for part in chunks(sorted(cases)):
        case = tables.fleet_case.c
        gaps: dict[str, int] = {
            row.id: row.gap
            for row in connection.execute(select(case.id, case.gap).where(case.id.in_(part)))
        }
        left: defaultdict[str, list[Member]] = defaultdict(list)
        for member in _read(connection, column.case.in_(part)).values():
            left[member.case].append(member)
        connection.execute(delete(tables.fleet_case).where(case.id.in_(part)))
        for identity, members in left.items():
            write_members(connection, members, gaps[identity])


class _Neighbours:
    """All members that could be one case with those that changed."""

    def __init__(self, connection: Connection, changed: Sequence[Member], gap: int) -> None:
        self._connection = connection
        self._gap = gap
        self._changed = {each.key: each for each in changed}
        self.members = dict(self._changed)
        self._parents = {key: key for key in self.members}
        self._sizes = dict.fromkeys(self.members, 1)
        frontier = list(changed)
        while frontier:
            frontier = self._expand(frontier)

    def groups(self) -> list[list[Member]]:
        """The cases that they are. Of too many in a row, each that is new is one of its own, and
        the cases of others stay as they are."""
        parts: defaultdict[Key, list[Member]] = defaultdict(list)
        for member in self.members.values():
            parts[self._root(member.key)].append(member)
        found: list[list[Member]] = []
        for members in parts.values():
            if len(members) <= MEMBER_LIMIT:
                found += group(members, self._gap)
                continue
            mine = [each for each in members if each.key in self._changed]
            found += [[each] for each in mine if not each.case]
            for case in sorted({each.case for each in mine if each.case}):
                whole = _read(self._connection, tables.fleet_case_incident.c.case == case)
                whole |= {each.key: each for each in mine if each.case == case}
                self.members |= whole
                found += group(list(whole.values()), self._gap)
        return found

    def _expand(self, frontier: Sequence[Member]) -> list[Member]:
        """Find the neighbours of members; those that were not known."""
        frontier = [each for each in frontier if self._sizes[self._root(each.key)] <= MEMBER_LIMIT]
        by_word: defaultdict[str, list[Member]] = defaultdict(list)
        for member in frontier:
            for word in member.words:
                by_word[word].append(member)
        pairs = self._pairs(by_word, frontier)
        cases = {each.case: each for each in frontier if each.case}
        column = tables.fleet_case_incident.c
        new = stored_members(self._connection, {key for _, key in pairs} - self.members.keys())
        for part in chunks(sorted(cases)):
            for key, member in _read(self._connection, column.case.in_(part)).items():
                if key not in self.members:
                    new[key] = member
                pairs.append((cases[member.case].key, key))
        self.members |= new
        for key in new:
            self._parents[key] = key
            self._sizes[key] = 1
        for one, other in pairs:
            if other in self.members:
                self._join(one, other)
        return list(new.values())

    def _pairs(
        self, by_word: dict[str, list[Member]], frontier: Sequence[Member]
    ) -> list[tuple[Key, Key]]:
        """Members with the keys of others that have a word in common and are near."""
        pairs: set[tuple[Key, Key]] = set()
        for members in by_word.values():
            pairs |= {
                (one.key, other.key)
                for at, one in enumerate(members)
                for other in members[at + 1 :]
                if distance(one, other) <= self._gap
            }
        if not frontier:
            return []
        low = min(each.first for each in frontier) - self._gap
        high = max(each.last for each in frontier) + self._gap
        word = tables.fleet_case_word.c
        for part in chunks(sorted(by_word)):
            statement = select(
                word.word, word.sensor, word.incident, word.first_seen, word.last_seen
            ).where(word.word.in_(part), word.last_seen >= low, word.first_seen <= high)
            statement = statement.limit(_MAX_ROWS)
            for row in self._connection.execute(statement):
                key = row.sensor, row.incident
                if key in self._changed:
                    continue
                for member in by_word[row.word]:
                    if (
                        row.last_seen + self._gap >= member.first
                        and row.first_seen - self._gap <= member.last
                        and key != member.key
                    ):
                        pairs.add((member.key, key))
        return sorted(pairs)

    def _root(self, key: Key) -> Key:
        while self._parents[key] != key:
            self._parents[key] = self._parents[self._parents[key]]
            key = self._parents[key]
        return key

    def _join(self, one: Key, other: Key) -> None:
        one, other = self._root(one), self._root(other)
        if one != other:
            self._parents[other] = one
            self._sizes[one] += self._sizes[other]


def _has_left(case: Case, members: Iterable[Member]) -> bool:
    """Whether a member that was of a case is not any more."""
    keys = {each.key for each in case.members}
    return any(each.case == case.id and each.key not in keys for each in members)


def _read(connection: Connection, where: Any) -> dict[Key, Member]:
    """The stored members for which `where` holds."""
    column, incident = tables.fleet_case_incident.c, tables.incident.c
    statement = (
        select(
            column.sensor, column.incident, column.run, column.case, column.clock_offset,
            column.first_seen, column.last_seen, incident.record,
        )
        .join_from(
            tables.fleet_case_incident,
            tables.incident,
            (incident.run == column.run) & (incident.id == column.incident),
        )
        .where(where)
    )  # fmt: skip
    found = {}
    for row in connection.execute(statement):
        member = Member.of(
            row.sensor,
            orjson.loads(row.record),
            row.record,
            row.clock_offset,
            (row.first_seen, row.last_seen),
            run=row.run,
            case=row.case,
        )
        found[member.key] = member
    return found


def _write_cases(
    connection: Connection, cases: Sequence[Case], removed: set[str], gap: int
) -> None:
    row = tables.fleet_case.c
    for part in chunks(sorted(removed)):
        connection.execute(delete(tables.fleet_case).where(row.id.in_(part)))
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
                "sensor": each.sensor,
                "incident": each.record["id"],
                **{name: getattr(each, name) for name in _MEMBER},
            }
            for each in members
        ],
        lambda new: {name: new[name] for name in _MEMBER},
    )


def _remove_words(connection: Connection, keys: Sequence[Key]) -> None:
    if keys:
        word = tables.fleet_case_word.c
        place = (word.sensor == bindparam("of")) & (word.incident == bindparam("id"))
        values = [{"of": sensor, "id": incident} for sensor, incident in keys]
        connection.execute(delete(tables.fleet_case_word).where(place), values)


def _write_words(connection: Connection, members: Sequence[Member]) -> None:
    rows = [
        {"word": text, "sensor": each.sensor, "incident": each.record["id"],
         "first_seen": each.first, "last_seen": each.last}
        for each in members
        for text in sorted(each.words)
    ]  # fmt: skip
    insert_rows(connection, tables.fleet_case_word, rows)
