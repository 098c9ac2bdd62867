"""Which MACs belong to routers, judged by whose packets they send, and other contradictions of an
incident.

A router sends the packets of every host behind it under its own MAC. So a MAC in the frames of
`MANY_CLIENTS` clients is a router's. A device has fewer: an IPv4 address, and addresses in one or
two IPv6 networks, which count once each. The result at the end of a run is based on the whole run
and is the same in any order and with any number of processes: of too many entries those that sort
first stay. A live capture forgets what it has not seen for `MAX_AGE`.

A contact with a contradiction counts as at most `HIGHEST`, whatever its evidence: somebody else may
have sent it. Other contacts of the incident keep their strength, so nobody can lower the confidence
of what others saw by sending a packet that looks forged. A MAC in a frame that is not the device's
is no contradiction if it is a router's, which is only known at the end. Until then such a contact
counts twice: here with its strength if the MAC is a router's, and in the incident with its strength
otherwise, which is never greater.
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
"""MACs whose clients are stored, at most."""

MAX_AGE = 24 * 3_600_000_000_000
"""How long a live capture remembers that a MAC sent packets of a client, ns."""

CONTRADICTION_LIMIT = 64
"""Contradictions stored for one incident, at most."""

CONTRADICTING_SENDERS = 8
"""MACs in the frames of one incident, other than the device's, that may turn out to be routers'."""

FirstContradicted = tuple[int, int, str, int, str, str]
"""Time (ns), digits of the time, source, packet, evidence and name of the first contact with a
contradiction. The smallest is the first."""


class SenderTable:
    """The clients of each MAC, at most `MANY_CLIENTS`, with the time when they were last seen (ns).
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
        """The table, as JSON."""
        return [[mac, clients] for mac, clients in sorted(self._clients.items())]

    @classmethod
    def restored(cls, state: Any) -> Self:
        """The table from this `state`. Raises one of `netwatch.core.typed_json.MISMATCHES`."""
        from netwatch.core.typed_json import read

        table = cls()
        for mac, clients in read(list[tuple[str, dict[str, int]]], state):
            for client, time in clients.items():
                table.add(Sender(mac, client), time)
        return table

    def _make_room(self, mac: str) -> bool:
        """Evict the MAC that sorts last; False if it is this one."""
        self.dropped += 1
        last = max(self._clients)
        if mac > last:
            return False
        del self._clients[last]
        return True


def merged(tables: Iterable[SenderTable]) -> SenderTable:
    """The union of several tables."""
    found = SenderTable()
    for table in tables:
        found.merge(table)
    return found


class Contradictions:
    """The contradictions to the contacts of an incident.

    `table` has them by type, text and sender, and `by_sender` the grounds for contacts should their
    sender be a router.
    """

    __slots__ = ("by_sender", "table")

    def __init__(self) -> None:
        self.table = BoundedTable(CONTRADICTION_LIMIT)
        self.by_sender: dict[str, IncidentConfidence] = {}

    def __bool__(self) -> bool:
        return bool(self.table.items)

    def add(self, contact: Contact, count: int) -> None:
        """Add the contradiction to a contact, or to so many alike."""
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
        """Add the grounds of a contact should its sender be a router, unless it has another
        contradiction too."""
        senders = {contradiction.sender for contradiction in contact.contradictions}
        if len(senders) == 1 and (sender := senders.pop()):
            self.grounds_of(sender).add(replace(contact, contradictions=()))
            self._limit_senders()

    def merge(self, other: "Contradictions") -> None:
        """Add the contradictions of another part of the incident."""
        self.table.merge(other.table)
        for sender, grounds in other.by_sender.items():
            self.grounds_of(sender).merge(grounds)
        self._limit_senders()

    def settle(self, senders: SenderTable, grounds: IncidentConfidence) -> None:
        """Decide who is a router: contradictions about a router's frames are dropped, and what they
        prove becomes part of `grounds`."""
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
        """The number of contacts with contradictions, by type."""
        found = Counter[str]()
        for (type_, _, _), (count, _) in self.table.items.items():
            found[type_] += count
        return found

    def grounds_of(self, sender: str) -> IncidentConfidence:
        """The grounds of contacts with this MAC in their frames."""
        return self.by_sender.setdefault(sender, IncidentConfidence())

    def _limit_senders(self) -> None:
        # Those that sort first stay, in any order of arrival. Others count as if not a router's.
        while len(self.by_sender) > CONTRADICTING_SENDERS:
            del self.by_sender[max(self.by_sender)]


def _order(item: tuple[Any, Any]) -> tuple[Any, ...]:
    (type_, text, sender), (_, first) = item
    return CONTRADICTION_TYPES.index(type_), first, text, sender
