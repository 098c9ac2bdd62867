"""What speaks against an incident, and what it takes off its confidence.

A contact with a contradiction gives at most `HIGHEST`, whatever its evidence: somebody else may
have sent it. Other contacts of the incident are as strong as they were, so nobody can take down the
confidence of what others saw by sending a packet that looks forged.

That the MAC in a frame is not the device's is no contradiction if it is a router's, which is known
at the end only (`netwatch.incidents.senders`). Until then such a contact counts twice: here as it
is if the MAC is a router's, and in the incident as it is otherwise, which is never more.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from netwatch.core.alert import ContradictionItem, ContradictionPlace
from netwatch.core.contradiction import CONTRADICTION_TYPES
from netwatch.core.verdict import Contact
from netwatch.incidents.bounded_table import BoundedTable
from netwatch.incidents.confidence import IncidentConfidence
from netwatch.incidents.senders import SenderTable

CONTRADICTION_LIMIT = 64
"""Contradictions stored of one incident."""

SENDER_LIMIT = 8
"""MACs in the frames of one incident, other than the device's, that may turn out to be routers'."""

FirstContradicted = tuple[int, int, str, int, str, str]
"""Time (ns), digits of the time, source, packet, evidence and name of the first contact that
something speaks against. The smallest is the first."""


class Contradictions:
    """What speaks against the contacts of an incident.

    `table` has it by type, text and sender, and `by_sender` the grounds that contacts are if their
    sender is a router.
    """

    __slots__ = ("by_sender", "table")

    def __init__(self) -> None:
        self.table = BoundedTable(CONTRADICTION_LIMIT)
        self.by_sender: dict[str, IncidentConfidence] = {}

    def __bool__(self) -> bool:
        return bool(self.table.items)

    def add(self, contact: Contact, count: int) -> None:
        """Take what speaks against a contact, or so many that are alike."""
        shown = contact.observation
        first = (
            shown.time,
            shown.time_digits,
            shown.source,
            shown.packet,
            shown.evidence,
            shown.name,
        )
        for each in contact.contradictions:
            self.table.add((each.type, each.text, each.sender), first, count)

    def add_grounds(self, contact: Contact) -> None:
        """Take what a contact gives if its sender is a router, unless something else speaks
        against it too."""
        senders = {each.sender for each in contact.contradictions}
        if len(senders) == 1 and (sender := senders.pop()):
            self.grounds_of(sender).add(replace(contact, contradictions=()))
            self._limit_senders()

    def merge(self, other: "Contradictions") -> None:
        """Add what speaks against another part of the incident."""
        self.table.merge(other.table)
        for sender, grounds in other.by_sender.items():
            self.grounds_of(sender).merge(grounds)
        self._limit_senders()

    def settle(self, senders: SenderTable, grounds: IncidentConfidence) -> None:
        """Decide who is a router: what was said of its frames is dropped, and what they prove
        becomes part of `grounds`."""
        kept = BoundedTable(self.table.limit)
        for key, (count, first) in self.table.items.items():
            if not senders.is_router(key[2]):
                kept.add((key[0], key[1], ""), first, count)
        self.table = kept
        for sender, of_router in self.by_sender.items():
            if senders.is_router(sender):
                grounds.merge(of_router)
        self.by_sender = {}

    def items(self) -> Iterator[ContradictionItem]:
        """The contradictions as an alert has them: by type, then by time."""
        ordered = sorted(self.table.items.items(), key=_order)
        for (type_, text, _), (count, first) in ordered:
            time, digits, source, packet, evidence, name = first
            place = ContradictionPlace(time, digits, source, packet, evidence, name)
            yield ContradictionItem(type_, text, count, (place,))

    def by_type(self) -> Counter[str]:
        """How many contacts there are that something of each type speaks against."""
        found = Counter[str]()
        for (type_, _, _), (count, _) in self.table.items.items():
            found[type_] += count
        return found

    def grounds_of(self, sender: str) -> IncidentConfidence:
        """The grounds of contacts in whose frames there is this MAC."""
        return self.by_sender.setdefault(sender, IncidentConfidence())

    def _limit_senders(self) -> None:
        # Those that sort first stay, whatever came first. Others count as what is no router's.
        while len(self.by_sender) > SENDER_LIMIT:
            del self.by_sender[max(self.by_sender)]


def _order(item: tuple[Any, Any]) -> tuple[Any, ...]:
    (type_, text, sender), (_, first) = item
    return CONTRADICTION_TYPES.index(type_), first, text, sender
