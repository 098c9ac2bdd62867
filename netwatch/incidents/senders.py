"""Which MACs belong to routers, by whose packets they send, and what else speaks against an
incident.

A router sends the packets of everybody behind it under its own MAC. So a MAC in the frames of
`MANY_CLIENTS` clients is that of a router. A device has fewer: an IPv4 address, and addresses in
one or two IPv6 networks, which count once each. What is asked at the end of a run is known of the
run as a whole, and in whatever order and by how many processes it was collected, the answer is the
same: of too many entries those that sort first stay. A live capture forgets what it has not seen
for `MAX_AGE`.

A contact with a contradiction gives at most `HIGHEST`, whatever its evidence: somebody else may
have sent it. Other contacts of the incident are as strong as they were, so nobody can take down the
confidence of what others saw by sending a packet that looks forged. That the MAC in a frame is not
the device's is no contradiction if it is a router's, which is known at the end only. Until then
such a contact counts twice: here as it is if the MAC is a router's, and in the incident as it is
otherwise, which is never more.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Self

from netwatch.core.alert import ContradictionItem, ContradictionPlace
from netwatch.core.flow import CONTRADICTION_TYPES, Sender
from netwatch.core.verdict import Contact
from netwatch.incidents.bounded_table import BoundedTable
from netwatch.incidents.confidence import IncidentConfidence

MANY_CLIENTS = 4
"""Clients whose packets only a router sends under one MAC."""

SENDER_LIMIT = 16_384
"""MACs of which is stored whose packets they send."""

MAX_AGE = 24 * 3_600_000_000_000
"""How long a live capture remembers that a MAC sent packets of a client, ns."""

CONTRADICTION_LIMIT = 64
"""Contradictions stored of one incident."""

CONTRADICTING_SENDERS = 8
"""MACs in the frames of one incident, other than the device's, that may turn out to be routers'."""

FirstContradicted = tuple[int, int, str, int, str, str]
"""Time (ns), digits of the time, source, packet, evidence and name of the first contact that
something speaks against. The smallest is the first."""


class SenderTable:
    """The clients of each MAC, at most `MANY_CLIENTS`, with the time when they were seen last (ns).
    `dropped` counts MACs beyond the `limit`."""

    __slots__ = ("_clients", "_limit", "dropped")

    def __init__(self, limit: int = SENDER_LIMIT) -> None:
        self._limit = limit
        self._clients: dict[str, dict[str, int]] = {}
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[tuple[Sender, int]]:
        for mac, clients in self._clients.items():
            for client, time in clients.items():
                yield Sender(mac, client), time

    def add(self, sender: Sender, time: int) -> None:
        """Note that a MAC sent a packet of a client at a time (ns)."""
        mac, client = sender
        clients = self._clients.get(mac)
        if clients is None:
            if len(self._clients) >= self._limit and not self._make_room(mac):
                return
            clients = self._clients[mac] = {}
        if clients.get(client, -1) < time:
            clients[client] = time
            if len(clients) > MANY_CLIENTS:
                del clients[max(clients)]

    def merge(self, other: "SenderTable") -> None:
        """Add what was collected elsewhere."""
        self.dropped += other.dropped
        for sender, time in other:
            self.add(sender, time)

    def is_router(self, mac: str) -> bool:
        """Whether a MAC sends the packets of so many clients that it is a router's."""
        return len(self._clients.get(mac, ())) >= MANY_CLIENTS

    def forget(self, before: int) -> None:
        """Forget what was not seen since `before` (ns)."""
        for mac, clients in list(self._clients.items()):
            for client in [each for each, time in clients.items() if time < before]:
                del clients[client]
            if not clients:
                del self._clients[mac]

    def anomalies(self) -> Counter[str]:
        """What the table has left out."""
        return Counter({"senders-full": self.dropped})

    def state(self) -> list[Any]:
        """The table, as JSON can have it."""
        return [[mac, clients] for mac, clients in sorted(self._clients.items())]

    @classmethod
    def restored(cls, state: Any) -> Self:
        """The table that gave this `state`. Raises one of `netwatch.core.typed_json.MISMATCHES`."""
        from netwatch.core.typed_json import read

        table = cls()
        for mac, clients in read(list[tuple[str, dict[str, int]]], state):
            for client, time in clients.items():
                table.add(Sender(mac, client), time)
        return table

    def _make_room(self, mac: str) -> bool:
        """Evict the MAC that sorts last; False if that is this one."""
        self.dropped += 1
        last = max(self._clients)
        if mac > last:
            return False
        del self._clients[last]
        return True


def merged(tables: Iterable[SenderTable]) -> SenderTable:
    """What several tables know together."""
    found = SenderTable()
    for table in tables:
        found.merge(table)
    return found


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
        for contradiction in contact.contradictions:
            self.table.add(
                (contradiction.type, contradiction.text, contradiction.sender), first, count
            )

    def add_grounds(self, contact: Contact) -> None:
        """Take what a contact gives if its sender is a router, unless something else speaks
        against it too."""
        senders = {contradiction.sender for contradiction in contact.contradictions}
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
            place = ContradictionPlace(time, digits, evidence, name, source, packet)
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
        while len(self.by_sender) > CONTRADICTING_SENDERS:
            del self.by_sender[max(self.by_sender)]


def _order(item: tuple[Any, Any]) -> tuple[Any, ...]:
    (type_, text, sender), (_, first) = item
    return CONTRADICTION_TYPES.index(type_), first, text, sender
