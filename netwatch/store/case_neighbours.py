"""Finds the incidents that could be one case with those that changed.

Others of the same device are found by `fleet_case_word`, then those of the same device as these,
and so on. What is in one case already stays together until it is decided anew.

At most `MEMBER_LIMIT` incidents are looked at together. Where there are more, which a sensor that
forges alerts could bring about, further ones are cases of their own.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select

from netwatch.store import catalogue_tables as tables
from netwatch.store.case_grouping import group
from netwatch.store.case_members import Key, Member
from netwatch.store.case_reading import keys_of_cases, members_of_cases, stored_members
from netwatch.store.chunks import among, chunks

MEMBER_LIMIT = 256
"""Incidents that are looked at together; see the head."""

_MAX_ROWS = 16 * MEMBER_LIMIT  # of the words of up to CHUNK / 4 alerts, which have a few rows each


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
