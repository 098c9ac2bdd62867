"""Which unknown clients of a running capture have incidents of their own.

A scan decides at the end who is unproven (`netwatch.incidents.unproven`); a running capture has to
decide with each contact. The first unknown clients in a network and hour have their own incidents,
up to the limit. What further ones show is a contact of the device that stands for all of them,
unless it proves that its client is there.
"""

from collections import OrderedDict

from netwatch.core.verdict import CLIENT_LIMIT, Contact
from netwatch.incidents.progress import ContactProgress
from netwatch.incidents.unproven import HOUR, is_listed, proves_client

PROVEN_LIMIT = 65_536
"""Clients that are remembered to have been proven; of more the oldest is evicted."""


class UnknownClients:
    """The unknown clients of the hour that have incidents of their own, at most `limit` in a
    network; `summed` counts contacts of the others."""

    def __init__(self) -> None:
        self.limit = CLIENT_LIMIT
        self.summed = 0
        self._hour = 0
        self._clients: dict[str, set[str]] = {}
        self._proven: OrderedDict[str, None] = OrderedDict()

    def may_own(self, contact: Contact, time: int) -> bool:
        """Whether a contact without an incident may begin one of its client, at a time (ns)."""
        device = contact.device.id
        if is_listed(contact.device) or device in self._proven:
            return True
        if proves_client(contact):
            self.prove(device)
            return True
        if time // HOUR > self._hour:
            self._hour = time // HOUR
            self._clients.clear()
        clients = self._clients.setdefault(contact.network.name, set())
        if device in clients:
            return True
        if len(clients) >= self.limit:
            return False
        clients.add(device)
        return True

    def prove(self, device: str) -> None:
        """Note that a client is there."""
        self._proven[device] = None
        if len(self._proven) > PROVEN_LIMIT:
            self._proven.popitem(last=False)


def proves(progress: ContactProgress) -> bool:
    """Whether what became of a contact proves that its client is there."""
    seen = progress.seen
    if seen is not None:
        return seen.server and seen.directions == "both"
    return progress.now == "reached"
