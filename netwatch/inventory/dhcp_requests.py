"""DHCP requests that wait for the answer of a server.

An answer does not repeat everything that its request says: the host name, and in DHCPv6 the MAC of
the client, are known only from the request. Requests and answers have the same transaction id.
"""

from collections import OrderedDict
from dataclasses import dataclass

from netwatch.core.frame import Frame
from netwatch.core.message import AddressClaim
from netwatch.core.packet import Packet
from netwatch.inventory.binding_evidence import MAX_ENTRY_BYTES, bytes_in

REQUEST_LIMIT = 4096
"""DHCP requests that wait for an answer; of more the oldest is evicted."""

REQUEST_TIMEOUT = 60_000_000_000
"""How long a request waits for its answer, ns; a client retries as long (RFC 2131 section 4.1)."""


@dataclass(frozen=True, slots=True)
class DhcpRequest:
    """What a client requested: when, with which MAC and host name, and for which addresses. It is
    `from_client` where it was captured before a relay forwarded it. `had_before`: the client said
    that it had the address before. `frames` are its packets, where evidence is wanted."""

    time: int
    mac: bytes | None
    from_client: bool
    hostname: str
    ips: tuple[bytes, ...]
    had_before: bool
    frames: tuple[Frame, ...]


class DhcpRequests:
    """The pending requests by transaction id. `evicted` counts those that exceeded the limit."""

    def __init__(self) -> None:
        self._pending: OrderedDict[bytes, DhcpRequest] = OrderedDict()
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._pending)

    def get(self, transaction: bytes) -> DhcpRequest | None:
        """The pending request with this transaction id."""
        return self._pending.get(transaction)

    def add(self, packet: Packet, claim: AddressClaim) -> None:
        """Add a request, and evict those that timed out or exceed the limit."""
        earlier = self._pending.pop(claim.transaction_id, None)
        mac = packet.src_mac if claim.on_link and packet.src_mac else claim.mac
        from_client, hostname = claim.on_link, claim.hostname
        if earlier is not None:
            if earlier.from_client and not claim.on_link:
                mac = earlier.mac  # The frame of a relay has the MAC of the relay.
            from_client = from_client or earlier.from_client
            hostname = hostname or earlier.hostname
        self._pending[claim.transaction_id] = DhcpRequest(
            time=packet.time,
            mac=mac,
            from_client=from_client,
            hostname=hostname,
            ips=claim.addresses,
            had_before=claim.renewal,
            # Larger packets would be dropped when the binding is stored.
            frames=packet.frames if bytes_in(packet.frames) <= MAX_ENTRY_BYTES else (),
        )
        self._evict(packet.time)

    def _evict(self, now: int) -> None:
        while self._pending:
            oldest = next(iter(self._pending.values()))
            timed_out = oldest.time + REQUEST_TIMEOUT < now
            if not timed_out and len(self._pending) <= REQUEST_LIMIT:
                break
            self.evicted += not timed_out
            self._pending.popitem(last=False)
