"""Reads the incidents of cases, and finds those that could be one case with others that changed.

`StoredState` is what is stored of an incident without its record, which most often is not needed:
the state that a sensor sends next says everything again. Incidents of the same device are found by
`fleet_case_word`, then those of the same device as these, and so on. What is in one case already
stays together until it is decided anew.

At most `MEMBER_LIMIT` incidents are looked at together. Where there are more, which a sensor that
forges alerts could bring about, further ones are cases of their own.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, select

from netwatch.core.alert import UNHEARD
from netwatch.store import catalogue_tables as tables
from netwatch.store.case_members import Key, Member, Rank, group, rank_of
from netwatch.store.statements import among, chunks, pairs_among

MEMBER_LIMIT = 256
"""Incidents that are looked at together; see the head."""

_MAX_ROWS = 16 * MEMBER_LIMIT  # of the words of up to CHUNK / 4 alerts, which have a few rows each


@dataclass(frozen=True, slots=True)
class StoredState:
    """The newest state of an incident that is stored: `line` is its record, `seen` when that was
    seen last, and `first_seen` and `last_seen` are what all its states span (ns)."""

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
    """All members of cases."""
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
    """All members that could be one case with those that changed; `members` has them by key,
    `changed` those that did, and `gap` is the quiet gap in ns."""

    def __init__(self, connection: Connection, changed: Sequence[Member], gap: int) -> None:
        self._connection = connection
        self.gap = gap
        self.changed = {each.key: each for each in changed}
        self.members = dict(self.changed)
        self._parents = {key: key for key in self.members}
        self._sizes = dict.fromkeys(self.members, 1)
        frontier = list(changed)
        while frontier:
            frontier = self._expand(frontier)

    @property
    def is_whole(self) -> bool:
        """Whether nobody had to be left out for being too many."""
        return max(self._sizes.values(), default=0) <= MEMBER_LIMIT

    def groups(self) -> list[list[Member]]:
        """The cases that they are. Of too many in a row, each that is new is one of its own, and
        the cases of others stay as they are."""
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
            mine = [each for each in members if each.key in self.changed]
            found += [[each] for each in mine if not each.case]
            for case in sorted({each.case for each in mine if each.case}):
                whole = members_of_cases(self._connection, [case])
                whole |= {each.key: each for each in mine if each.case == case}
                self.members |= whole
                found += group(list(whole.values()), self.gap)
        return found

    def _expand(self, frontier: Sequence[Member]) -> list[Member]:
        """Find the neighbours of members; those that were not known."""
        frontier = [each for each in frontier if self._sizes[self._root(each.key)] <= MEMBER_LIMIT]
        if not frontier:
            return []
        by_word: defaultdict[str, list[Member]] = defaultdict(list)
        for member in frontier:
            for word in member.words:
                by_word[word].append(member)
        pairs = [*self._pairs(by_word), *self._stored_pairs(by_word, frontier)]
        cases = {each.case: each.key for each in frontier if each.case}
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
        """Members that have a word in common and are near, so many pairs that all that are near
        each other, or by way of others, are connected."""
        for members in by_word.values():
            if len(members) == 1:
                continue
            members = sorted(members, key=lambda each: each.first)
            latest = members[0]
            for member in members[1:]:
                if member.first - latest.last <= self.gap:
                    yield latest.key, member.key
                if member.last > latest.last:
                    latest = member

    def _stored_pairs(
        self, by_word: dict[str, list[Member]], frontier: Sequence[Member]
    ) -> list[tuple[Key, Key]]:
        """Members with the keys of others that are stored, have a word in common and are near."""
        pairs: set[tuple[Key, Key]] = set()
        gap = self.gap
        low = min(each.first for each in frontier) - gap
        high = max(each.last for each in frontier) + gap
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
