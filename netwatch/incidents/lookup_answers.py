"""What the lookups of an incident were answered with, name by name.

A query says nothing of its outcome: its answer does, which may be in another file, come twice, or
be missing. So lookups are counted by name, and a name has one outcome: whoever asked for A and AAAA
and got an address of a filter and no data has been blocked. Sums do not depend on the order of
arrival. Of more names than the limit, those that sort first are counted each by itself, the others
as one.
"""

from collections.abc import Iterator

from netwatch.core.dataclass import dataclass
from netwatch.core.verdict import Contact
from netwatch.incidents.progress import Tally

NAME_LIMIT = 256
"""Looked up names of an incident whose answers are counted by name."""


@dataclass(slots=True)
class NameAnswers:
    """How often a name was `asked` for, and how often the answer had a `usable` address, was a
    block, or neither (`undecided`: no data of this type, or a failure of the resolver)."""

    asked: int = 0
    undecided: int = 0
    usable: int = 0
    blocked: int = 0

    def add(self, other: "NameAnswers") -> None:
        """Add the counts of another name or another part."""
        self.asked += other.asked
        self.undecided += other.undecided
        self.usable += other.usable
        self.blocked += other.blocked

    def tallies(self) -> Iterator[tuple[Tally, int]]:
        """What the lookups count as. A query, and an answer that decides nothing, count by the
        answers that do: as attempted if any was usable, since the device could go on."""
        open_ = self.asked + self.undecided
        if self.usable:
            yield "attempted", self.usable + open_
            yield "blocked", self.blocked
        elif self.blocked:
            yield "blocked", self.blocked + open_
        elif self.undecided:
            yield "attempted", open_
        else:
            yield "silent", open_


class LookupAnswers:
    """The lookups of one incident by name; `others` are those beyond the limit."""

    def __init__(self) -> None:
        self.limit = NAME_LIMIT
        self.names: dict[str, NameAnswers] = {}
        self.others = NameAnswers()

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
        self._count(contact.observation.name, counts)

    def merge(self, other: "LookupAnswers") -> None:
        """Add everything that another part of the incident counted."""
        for name, counts in other.names.items():
            self._count(name, counts)
        self.others.add(other.others)

    def tallies(self) -> Iterator[tuple[Tally, int]]:
        """What all lookups count as."""
        for counts in (*self.names.values(), self.others):
            yield from counts.tallies()

    @property
    def are_blocked(self) -> bool:
        """Whether there were answers that were a block, and none with a usable address."""
        parts = (*self.names.values(), self.others)
        return any(part.blocked for part in parts) and not any(part.usable for part in parts)

    def _count(self, name: str, counts: NameAnswers) -> None:
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
