"""Which MACs belong to routers, by whose packets they send.

A router sends the packets of everybody behind it under its own MAC. So a MAC in the frames of
`MANY_CLIENTS` clients is that of a router. A device has fewer: an IPv4 address, and addresses in
one or two IPv6 networks, which count once each.

What is asked at the end of a run is known of the run as a whole, and in whatever order and by how
many processes it was collected, the answer is the same: of too many entries those that sort first
stay. A live capture forgets what it has not seen for `MAX_AGE`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Self

from netwatch.core.contradiction import Sender

MANY_CLIENTS = 4
"""Clients whose packets only a router sends under one MAC."""

SENDER_LIMIT = 16_384
"""MACs of which is stored whose packets they send."""

MAX_AGE = 24 * 3_600_000_000_000
"""How long a live capture remembers that a MAC sent packets of a client, ns."""


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
        """Evict the MAC that sorts last; False where that is this one."""
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
