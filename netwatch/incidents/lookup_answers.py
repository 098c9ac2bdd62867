"""The lookups of an incident: how many questions there were, and what they were answered with.

A query says nothing of its outcome: its answer does, which may be in another file, come twice, or
be missing. Where queries are not captured, the answer alone shows that somebody asked. So queries
and answers are counted by the name asked for, and the larger number is that of the questions: a
query and its answer are one, and so are all aliases in an answer. A name has one outcome: whoever
asked for A and AAAA and got an address of a filter and no data has been blocked. Sums do not depend
on the order of arrival. Of more names than the limit, those that sort first are counted each by
itself, the others as one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

from netwatch.core.verdict import Contact
from netwatch.incidents.progress import Tally

NAME_LIMIT = 256
"""Looked up names of an incident, aliases among them, that are counted by name."""

Name = tuple[str, str]
"""A name of the app in a lookup: the name that was asked for, and the same or an alias of it."""


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
        """What several origins show of the same lookups: of each count the largest, as far as there
        are so many questions; what decides counts first."""
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
        """What the questions count as. One without an answer, or with one that decides nothing,
        counts by the answers that do: as attempted if any was usable, since the device could go
        on."""
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
        """How often names of the app were asked for."""
        return sum(counts.questions for _, counts in self._by_question())

    def questions_of(self, names: Iterable[str]) -> int:
        """How often these names were asked for, or names that they are aliases of."""
        wanted = frozenset(names)
        return sum(
            counts.questions
            for found, counts in self._by_question()
            if not wanted.isdisjoint(found)
        )

    def tallies(self) -> Iterator[tuple[Tally, int]]:
        """What all questions count as."""
        for _, counts in self._by_question():
            yield from counts.tallies()

    @property
    def are_blocked(self) -> bool:
        """Whether there were answers that were a block, and none with a usable address."""
        parts = (*self.names.values(), self.others)
        return any(part.blocked for part in parts) and not any(part.usable for part in parts)

    def _by_question(self) -> Iterator[tuple[set[str], NameAnswers]]:
        """The counts of each name that was asked for, with the names of the app in its lookups.
        Every answer has been counted for each of these, so the answers are those of the name that
        most of them had."""
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
            # A name that was evicted has so many names before it that it never comes back.
            last = max(self.names)
            if name > last:
                self.others.add(counts)
                return
            self.others.add(self.names.pop(last))
        self.names[name] = NameAnswers(
            counts.asked, counts.undecided, counts.usable, counts.blocked
        )
