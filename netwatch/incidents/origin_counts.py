"""What an incident counts of its contacts, in sum, by lookup and by origin, because two origins may
show the same contact.

An origin is what was captured, or the program whose log was read (`netwatch.core.flow`). Counts of
one origin are added up. With several origins it is unknown which contacts are the same, so the
largest of each count is reported, and nothing is counted twice. Sums and maxima do not depend on
the order of arrival.

An incident has one `Totals`. If a contact has an outcome only under some bans, because another
contact of its flow came first under the others, the incident has another `Totals` with the
differences for these bans.

A query does not show its outcome: its answer does, which may be in another file, come twice, or be
missing. If queries are not captured, the answer alone shows the lookup. So queries and answers are
counted by the name asked for, and the larger number is the number of questions: a query and its
answer are one, and so are all aliases in an answer. A name has one outcome: a client that asked for
A and AAAA and got a filter's address and no data has been blocked. If there are more names than the
limit, those that sort first are counted individually, the others together.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

from netwatch.core.flow import PACKETS
from netwatch.core.message import HANDSHAKES, LOOKUPS
from netwatch.core.verdict import RESET, Contact
from netwatch.incidents.activity import CLASSES, FILTERED, ActivityTable, class_of, is_filtered
from netwatch.incidents.bounded_table import BoundedTable
from netwatch.incidents.contacts import (
    ORDER,
    ContactProgress,
    Tally,
    first_tally,
    settled,
    strongest,
)

NAME_LIMIT = 256
"""Looked up names of an incident, including aliases, to count by name."""

Name = tuple[str, str]
"""A name of the app in a lookup: the name asked for, and the same or an alias of it."""

FLOW_LIMIT = 1024
"""Flows of one incident to count exactly; more are estimated."""

PARTIAL_LIMIT = 64
"""Sets of bans for which an incident stores outcomes of contacts that only apply under them."""

_HASHES = 1 << 64


class Totals:
    """The payload that flows sent and received, how many connections were blocked by what before an
    answer, the outcomes of contacts other than lookups (for lookups, the answers tell), and the
    activity."""

    __slots__ = ("activity", "bytes_in", "bytes_out", "refusals", "tallies")

    def __init__(self) -> None:
        self.bytes_out = self.bytes_in = 0
        self.refusals: Counter[str] = Counter()
        self.tallies: Counter[Tally] = Counter()
        self.activity = ActivityTable()

    def add_progress(self, kind: int, progress: ContactProgress) -> None:
        """Add the outcome of contacts with hosts of a class (`netwatch.incidents.activity`)."""
        self.bytes_out += progress.bytes_out
        self.bytes_in += progress.bytes_in
        if progress.contacts:
            self.tallies[progress.was] -= progress.contacts
            self.tallies[progress.now] += progress.contacts
            if progress.was == "blocked" and progress.was_by:
                self.refusals[progress.was_by] -= progress.contacts
            if progress.now == "blocked" and progress.by:
                self.refusals[progress.by] += progress.contacts
        self.activity.add_progress(kind, progress)

    def merge(self, other: "Totals") -> None:
        """Add everything that another part counted."""
        self.bytes_out += other.bytes_out
        self.bytes_in += other.bytes_in
        for by, contacts in other.refusals.items():
            self.refusals[by] += contacts
        for tally, contacts in other.tallies.items():
            self.tallies[tally] += contacts
        self.activity.merge(other.activity)


@dataclass(slots=True)
class NameAnswers:
    """How often a name was `asked` for, and how often the answer had a `usable` address, was a
    block, or neither (`undecided`: no data of this type, or a failure of the resolver)."""

    asked: int = 0
    undecided: int = 0
    usable: int = 0
    blocked: int = 0

    @classmethod
    def largest(cls, parts: Iterable[Self]) -> Self:
        """What several origins show of the same lookups: the largest of each count, up to the
        number of questions; decisive answers count first."""
        parts = list(parts)
        most = max(part.questions for part in parts)
        usable = min(max(part.usable for part in parts), most)
        blocked = min(max(part.blocked for part in parts), most - usable)
        undecided = min(max(part.undecided for part in parts), most - usable - blocked)
        return cls(max(part.asked for part in parts), undecided, usable, blocked)

    @property
    def answers(self) -> int:
        """How many answers there were."""
        return self.undecided + self.usable + self.blocked

    @property
    def questions(self) -> int:
        """How many questions there were, as far as this shows."""
        return max(self.asked, self.answers)

    def add(self, other: "NameAnswers") -> None:
        """Add the counts of another name or another part."""
        self.asked += other.asked
        self.undecided += other.undecided
        self.usable += other.usable
        self.blocked += other.blocked

    def tallies(self) -> Iterator[tuple[Tally, int]]:
        """The outcomes of the questions. One without an answer, or with an undecided one, counts
        like the decisive answers: as attempted if any was usable, since the device could
        continue."""
        if self.usable:
            yield "attempted", self.questions - self.blocked
            yield "blocked", self.blocked
        elif self.blocked:
            yield "blocked", self.questions
        elif self.undecided:
            yield "attempted", self.questions
        else:
            yield "silent", self.questions


class LookupAnswers:
    """The lookups of one incident by name; `others` are those beyond the limit."""

    def __init__(self) -> None:
        self.limit = NAME_LIMIT
        self.names: dict[Name, NameAnswers] = {}
        self.others = NameAnswers()

    @classmethod
    def largest(cls, parts: Sequence[Self]) -> Self:
        """What several origins show of the same lookups."""
        made = cls()
        for name in sorted({name for part in parts for name in part.names}):
            of_name = [part.names[name] for part in parts if name in part.names]
            made.names[name] = NameAnswers.largest(of_name)
        made.others = NameAnswers.largest(part.others for part in parts)
        return made

    def add(self, contact: Contact) -> None:
        """Count a query, an answer, or an alias in an answer."""
        counts = NameAnswers()
        lookups = 1 if contact.repeats is None else contact.repeats.count
        if contact.observation.evidence == "dns-query":
            counts.asked = lookups
        elif contact.outcome == "blocked":
            counts.blocked = lookups
        elif contact.outcome == "attempted":
            counts.usable = lookups
        else:
            counts.undecided = lookups
        name = contact.observation.name
        self._count((contact.observation.asked or name, name), counts)

    def merge(self, other: "LookupAnswers") -> None:
        """Add everything that another part of the incident counted."""
        for name, counts in other.names.items():
            self._count(name, counts)
        self.others.add(other.others)

    @property
    def questions(self) -> int:
        """How often names of the app were looked up."""
        return sum(counts.questions for _, counts in self._by_question())

    def questions_of(self, names: Iterable[str]) -> int:
        """How often these names, or names that they are aliases of, were looked up."""
        wanted = frozenset(names)
        return sum(
            counts.questions
            for found, counts in self._by_question()
            if not wanted.isdisjoint(found)
        )

    def tallies(self) -> Iterator[tuple[Tally, int]]:
        """The outcomes of all questions."""
        for _, counts in self._by_question():
            yield from counts.tallies()

    @property
    def are_blocked(self) -> bool:
        """Whether some answers were a block, and none had a usable address."""
        parts = (*self.names.values(), self.others)
        return any(part.blocked for part in parts) and not any(part.usable for part in parts)

    def _by_question(self) -> Iterator[tuple[set[str], NameAnswers]]:
        """The counts of each name asked for, with the names of the app in its lookups. Every answer
        has been counted for each of these, so the answers are those of the name with the most."""
        for _, group in groupby(sorted(self.names), key=lambda name: name[0]):
            names = list(group)
            parts = [self.names[name] for name in names]
            most = max(parts, key=lambda part: part.answers)
            asked = max(part.asked for part in parts)
            counts = NameAnswers(asked, most.undecided, most.usable, most.blocked)
            yield {name for _, name in names}, counts
        yield set(), self.others

    def _count(self, name: Name, counts: NameAnswers) -> None:
        known = self.names.get(name)
        if known is not None:
            known.add(counts)
            return
        if len(self.names) >= self.limit:
            # An evicted name has so many names before it that it never comes back.
            last = max(self.names)
            if name > last:
                self.others.add(counts)
                return
            self.others.add(self.names.pop(last))
        self.names[name] = NameAnswers(
            counts.asked, counts.undecided, counts.usable, counts.blocked
        )


class OriginCounts:
    """What one origin shows of an incident. `partial` has the outcomes of contacts that only apply
    under some bans, by their ids; `partial_dropped` counts what exceeded `PARTIAL_LIMIT`."""

    __slots__ = (
        "flows",
        "handshakes",
        "lookup_answers",
        "partial",
        "partial_dropped",
        "totals",
    )

    def __init__(self) -> None:
        self.handshakes = 0
        self.flows = BoundedTable(FLOW_LIMIT)
        self.lookup_answers = LookupAnswers()
        self.totals = Totals()
        self.partial: dict[frozenset[str], Totals] = {}
        self.partial_dropped = 0

    def add(self, contact: Contact) -> None:
        """Count a contact."""
        observation, repeats = contact.observation, contact.repeats
        count = 1 if repeats is None else repeats.count
        if observation.evidence in LOOKUPS:
            self.lookup_answers.add(contact)
        else:
            self.totals.tallies[first_tally(contact)] += count
        if contact.blocked_by == RESET:
            self.totals.refusals[RESET] += count
        self.totals.activity.add(contact)
        if observation.evidence in HANDSHAKES:
            self.handshakes += count
            for number in (observation.flow_id,) if repeats is None else repeats.flows:
                flow = f"{observation.source}\0{number}".encode(errors="surrogatepass")
                self.flows.add(int.from_bytes(hashlib.blake2b(flow, digest_size=8).digest()))

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None
    ) -> None:
        """Add the outcome of contacts that were added before; `contact` is one of them. It concerns
        the bans with these ids, None for all bans of the incident."""
        totals = self.totals if bans is None else self.partial_of(bans)
        if totals is None:
            self.partial_dropped += 1
        else:
            kind = class_of(contact.match)
            if contact.outcome == "blocked" and is_filtered(contact):
                kind = FILTERED
            totals.add_progress(kind, progress)

    def partial_of(self, bans: frozenset[str]) -> Totals | None:
        """The outcomes of contacts that only apply under these bans; None if the limit is
        reached."""
        totals = self.partial.get(bans)
        if totals is None and len(self.partial) < PARTIAL_LIMIT:
            totals = self.partial[bans] = Totals()
        return totals

    def merge(self, other: "OriginCounts") -> None:
        """Add everything that was counted elsewhere for the same origin."""
        self.handshakes += other.handshakes
        self.flows.merge(other.flows)
        self.lookup_answers.merge(other.lookup_answers)
        self.totals.merge(other.totals)
        for bans, theirs in other.partial.items():
            ours = self.partial_of(bans)
            if ours is None:
                self.partial_dropped += 1
            else:
                ours.merge(theirs)
        self.partial_dropped += other.partial_dropped

    @property
    def lookups(self) -> int:
        """How often names of the app were looked up. A query and its answer are one question."""
        return self.lookup_answers.questions

    @property
    def flow_count(self) -> int:
        """The number of distinct flows: exact up to `FLOW_LIMIT`, beyond it estimated to within
        a few percent from the density of the smallest hashes (k minimum values)."""
        return distinct(self.flows)


def distinct(hashes: BoundedTable) -> int:
    """How many distinct 64-bit hashes were added to a table: exact up to its limit, then estimated
    from the density of the smallest ones (k minimum values)."""
    stored = hashes.items
    if not hashes.left_out:
        return len(stored)
    largest: int = max(stored)
    return max(len(stored), (len(stored) - 1) * _HASHES // largest)


def joined(origins: Mapping[str, OriginCounts]) -> OriginCounts:
    """What several origins show of the same incident: the largest of each count."""
    # Packets first: of origins that show the same amount, the first one counts.
    names = sorted(origins, key=lambda name: (name != PACKETS, name))
    parts = [origins[name] for name in names]
    if len(parts) == 1:
        return parts[0]
    made = OriginCounts()
    made.handshakes = max(part.handshakes for part in parts)
    made.flows = max(parts, key=lambda part: part.flow_count).flows
    made.lookup_answers = LookupAnswers.largest([part.lookup_answers for part in parts])
    made.totals = _joined_totals([part.totals for part in parts])
    made.partial_dropped = max(part.partial_dropped for part in parts)
    return made


def _joined_totals(parts: Sequence[Totals]) -> Totals:
    """The largest volumes. Outcomes come from the origin that shows the strongest one, most often:
    others did not see the outcome of the same contacts. The activity of each class of hosts comes
    from the origin with the most bytes, then the most contacts."""
    made = Totals()
    made.bytes_out = max(part.bytes_out for part in parts)
    made.bytes_in = max(part.bytes_in for part in parts)
    for part in parts:
        made.refusals |= part.refusals
    made.tallies = min(parts, key=_weakness).tallies.copy()
    for kind in range(len(CLASSES)):
        tables = [part.activity for part in parts if kind in part.activity.totals]
        if tables:
            of_class = [table.totals[kind] for table in tables]
            best = max(
                range(len(tables)),
                key=lambda at: (
                    of_class[at].bytes_out + of_class[at].bytes_in,
                    of_class[at].contacts,
                    -at,
                ),
            )
            made.activity.merge_class(tables[best], kind)
    for part in parts:
        made.activity.hosts.merge(part.activity.hosts)
        made.activity.stacks.merge(part.activity.stacks)
    return made


def _weakness(part: Totals) -> tuple[int, int]:
    """A sort key: smaller if the outcomes of contacts other than lookups tell more."""
    counts = settled(part.tallies, ())
    outcome = strongest(counts)
    if not any(counts.values()):
        return len(ORDER), 0
    return ORDER.index(outcome), -counts[outcome]
