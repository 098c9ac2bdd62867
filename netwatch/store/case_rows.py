"""The rows of cases: the incidents of sensors, the words by which they are found, and which of them
are one case; read with everything that could be one case with changed incidents, and written.

When an incident changes, all incidents that could be one case with it are looked up, and the cases
are decided again (`netwatch.store.case_members`). Only rows that differ are written. So the work
for an alert depends on the incidents of its device at the time, not on the size of the store.
`StoredState` is what is stored of an incident without its record, which is usually not needed: the
next state from the sensor is complete.

The table `fleet_case_word` has the hashes of the device of an incident, and when it was seen. It
only has to find all incidents that could be one case; their records decide which of them are. So
its spans are widened to whole units of `SPAN`: an ongoing incident usually changes no row, and a
search within a gap finds all, and some that are a little further away. Incidents of the same device
are found by it, then those of the same device as these, and so on. What is already in one case
stays together until it is decided again.

At most `MEMBER_LIMIT` incidents are considered together. If there are more, which a sensor that
forges alerts could cause, the others are cases of their own.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, select

from netwatch.core.alert import UNHEARD
from netwatch.store import catalogue_tables as tables
from netwatch.store.case_members import Key, Member, Rank, group, rank_of
from netwatch.store.case_record import Case, case_values, make_case
from netwatch.store.statements import among, chunks, pairs_among, upsert

MEMBER_LIMIT = 256
"""Incidents to consider together, at most; see the module docstring."""

_MAX_ROWS = 16 * MEMBER_LIMIT  # of the words of up to CHUNK / 4 alerts, which have a few rows each

SPAN = 300 * 10**9
"""The unit of the spans in the table (ns)."""

_MEMBER = ("run", "case", "begins", "clock_offset", "first_seen", "last_seen")


@dataclass(frozen=True, slots=True)
class StoredState:
    """The newest stored state of an incident: `line` is its record, `seen` when it was last seen,
    and `first_seen` and `last_seen` are the span of all its states (ns)."""

    run: int
    case: str
    clock_offset: int
    first_seen: int
    last_seen: int
    line: str
    status: str
    seen: int

    @property
    def rank(self) -> Rank:
        """How new the state is, like `Member.rank`."""
        unheard = orjson.loads(self.line).get(UNHEARD) if self.status == "closed" else None
        return rank_of(self.status, self.seen, unheard)

    def member(self, sensor: str) -> Member:
        """The incident as a member of its case, for which its record is read."""
        return Member.of(
            sensor,
            orjson.loads(self.line),
            self.line,
            self.clock_offset,
            (self.first_seen, self.last_seen),
            run=self.run,
            case=self.case,
        )


def stored_states(connection: Connection, keys: Collection[Key]) -> dict[Key, StoredState]:
    """What is stored of the incidents with these keys."""
    column = tables.fleet_case_incident.c
    if not keys:
        return {}
    return _states(connection, pairs_among(connection, (column.sensor, column.incident), keys))


def stored_members(connection: Connection, keys: Collection[Key]) -> dict[Key, Member]:
    """The members with these keys that are stored."""
    found = stored_states(connection, keys)
    return {key: state.member(key[0]) for key, state in found.items()}


def members_of_cases(connection: Connection, cases: Collection[str]) -> dict[Key, Member]:
    """The members of cases as stored, by key."""
    found = _states(connection, among(connection, tables.fleet_case_incident.c.case, cases))
    return {key: state.member(key[0]) for key, state in found.items()}


def keys_of_cases(connection: Connection, cases: Collection[str]) -> list[tuple[Key, str]]:
    """The keys of all members of cases, each with its case."""
    column = tables.fleet_case_incident.c
    statement = select(column.sensor, column.incident, column.case)
    rows = connection.execute(statement.where(among(connection, column.case, cases))).all()
    return [((sensor, incident), case) for sensor, incident, case in rows]


def _states(connection: Connection, where: Any) -> dict[Key, StoredState]:
    column, incident = tables.fleet_case_incident.c, tables.incident.c
    statement = (
        select(
            column.sensor, column.incident, column.run, column.case, column.clock_offset,
            column.first_seen, column.last_seen, incident.record, incident.status,
            incident.last_seen,
        )
        .join_from(
            tables.fleet_case_incident,
            tables.incident,
            (incident.run == column.run) & (incident.id == column.incident),
        )
        .where(where)
    )  # fmt: skip
    rows = connection.execute(statement).all()
    return {(sensor, incident): StoredState(*values) for sensor, incident, *values in rows}


class Neighbours:
    """All members that could be one case with changed ones; `members` has them by key, `changed`
    the changed ones, and `gap` is the quiet gap in ns."""

    def __init__(self, connection: Connection, changed: Sequence[Member], gap: int) -> None:
        self._connection = connection
        self.gap = gap
        self.changed = {member.key: member for member in changed}
        self.members = dict(self.changed)
        self._parents = {key: key for key in self.members}
        self._sizes = dict.fromkeys(self.members, 1)
        frontier = list(changed)
        while frontier:
            frontier = self._expand(frontier)

    @property
    def is_whole(self) -> bool:
        """Whether no incident was left out because of the limit."""
        return max(self._sizes.values(), default=0) <= MEMBER_LIMIT

    def groups(self) -> list[list[Member]]:
        """The resulting cases. Of too many in a row, each new one is a case of its own, and the
        cases of others stay as they are."""
        parts: defaultdict[Key, list[Member]] = defaultdict(list)
        for member in self.members.values():
            parts[self._root(member.key)].append(member)
        found: list[list[Member]] = []
        for members in parts.values():
            if len(members) == 1:
                found.append(members)
                continue
            if len(members) <= MEMBER_LIMIT:
                found += group(members, self.gap)
                continue
            mine = [member for member in members if member.key in self.changed]
            found += [[member] for member in mine if not member.case]
            for case in sorted({member.case for member in mine if member.case}):
                whole = members_of_cases(self._connection, [case])
                whole |= {member.key: member for member in mine if member.case == case}
                self.members |= whole
                found += group(list(whole.values()), self.gap)
        return found

    def _expand(self, frontier: Sequence[Member]) -> list[Member]:
        """Find the neighbours of members; returns the new ones."""
        frontier = [
            member for member in frontier if self._sizes[self._root(member.key)] <= MEMBER_LIMIT
        ]
        if not frontier:
            return []
        by_word: defaultdict[str, list[Member]] = defaultdict(list)
        for member in frontier:
            for word in member.words:
                by_word[word].append(member)
        pairs = [*self._pairs(by_word), *self._stored_pairs(by_word, frontier)]
        cases = {member.case: member.key for member in frontier if member.case}
        if cases:
            pairs += [(cases[case], key) for key, case in keys_of_cases(self._connection, cases)]
        unknown = {other for _, other in pairs} - self.members.keys()
        new = stored_members(self._connection, unknown) if unknown else {}
        self.members |= new
        for key in new:
            self._parents[key] = key
            self._sizes[key] = 1
        for one, other in pairs:
            if other in self.members:
                self._join(one, other)
        return list(new.values())

    def _pairs(self, by_word: dict[str, list[Member]]) -> Iterator[tuple[Key, Key]]:
        """Pairs of members with a word in common and near each other, enough to connect all that
        are near each other, directly or through others."""
        for members in by_word.values():
            if len(members) == 1:
                continue
            members = sorted(members, key=lambda member: member.first)
            latest = members[0]
            for member in members[1:]:
                if member.first - latest.last <= self.gap:
                    yield latest.key, member.key
                if member.last > latest.last:
                    latest = member

    def _stored_pairs(
        self, by_word: dict[str, list[Member]], frontier: Sequence[Member]
    ) -> list[tuple[Key, Key]]:
        """Members with the keys of stored ones that have a word in common and are near."""
        pairs: set[tuple[Key, Key]] = set()
        gap = self.gap
        low = min(member.first for member in frontier) - gap
        high = max(member.last for member in frontier) + gap
        word = tables.fleet_case_word.c
        for part in chunks(sorted(by_word)):
            statement = select(
                word.word, word.sensor, word.incident, word.first_seen, word.last_seen
            ).where(
                among(self._connection, word.word, part),
                word.last_seen >= low,
                word.first_seen <= high,
            )
            rows = self._connection.execute(statement.limit(_MAX_ROWS)).all()
            for text, sensor, incident, first, last in rows:
                key = sensor, incident
                if key in self.changed:
                    continue
                for member in by_word[text]:
                    if last + gap >= member.first and first - gap <= member.last:
                        pairs.add((member.key, key))
        return sorted(pair for pair in pairs if pair[0] != pair[1])

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


Words = Mapping[Key, Mapping[str, tuple[int, int]]]
"""The words of incidents, each with its span."""


def write_words(connection: Connection, members: Sequence[Member], known: Words) -> None:
    """Store the words of members, and remove those that they no longer have; `known` are the stored
    ones. Only rows that differ are written."""
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
    """The stored words of those members that are stored."""
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
    """Store new or changed members, with which `near` was made, and all cases that change with
    them. `known` are their stored words."""
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
    """Remove incidents, each given by its run and id, from their cases, and decide again what the
    others are. Does nothing in a store without cases."""
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
        [case_values(case, gap) for case in cases],
        lambda new: {name: new[name] for name in names},
    )


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
