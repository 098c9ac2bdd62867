"""Address claims of messages become bindings, as on a switch with DHCP snooping (RFC 7513).

A claim is believed only where it is authoritative: what a DHCP server grants, and what a host
announces of its own addresses in a frame with its own MAC. Everything else is refused and counted.

The answer of a DHCP server does not repeat everything that its request says: the host name, and in
DHCPv6 the MAC of the client, are known only from the request, which waits for it. Requests and
answers have the same transaction id.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from netwatch.core.frame import Frame
from netwatch.core.message import AddressClaim
from netwatch.core.packet import Packet
from netwatch.inventory.bindings import (
    MAX_ENTRY_BYTES,
    USE_LIFETIME,
    Address,
    AddressBinding,
    BindingTables,
    bytes_in,
)

REQUEST_LIMIT = 4096
"""DHCP requests that wait for an answer; of more the oldest is evicted."""

REQUEST_TIMEOUT = 60_000_000_000
"""How long a request waits for its answer, ns; a client retries as long (RFC 2131 section 4.1)."""

NetworkOf = Callable[[bytes, int | None], str | None]
"""The name of the network of a packed address in a VLAN; None outside of all networks."""

_SECOND = 1_000_000_000


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


class ClaimRecorder:
    """Records the claims of one capture in `tables`.

    `network_of` finds the network of an address; outside of all networks nothing is recorded.
    `quiet_gap` in ns ends incidents. `refused` counts claims that cannot be true, or are made for
    another device.
    """

    def __init__(self, tables: BindingTables, network_of: NetworkOf, quiet_gap: int) -> None:
        self._tables = tables
        self._network_of = network_of
        self._gap = quiet_gap
        self.requests = DhcpRequests()
        self.refused = 0

    def record(self, packet: Packet, claim: AddressClaim) -> None:
        """Record a claim at the time of its packet."""
        if claim.kind == "request":
            self.requests.add(packet, claim)
        elif claim.kind == "lease":
            self._grant(packet, claim)
        elif claim.kind == "announcement":
            self._announce(packet, claim)
        else:
            self._end(packet, claim)

    def _grant(self, packet: Packet, claim: AddressClaim) -> None:
        """A DHCP server grants addresses."""
        request = self.requests.get(claim.transaction_id)
        mac = claim.mac
        if request is not None and request.mac is not None:
            mac = request.mac
        elif claim.on_link and packet.dst_mac and not packet.dst_mac[0] & 1:
            mac = packet.dst_mac
        hostname = claim.hostname or (request.hostname if request else "")
        had_before = request.had_before if request else False
        lifetime = USE_LIFETIME if claim.lifetime is None else claim.lifetime * _SECOND
        frames = (*(request.frames if request else ()), *packet.frames)
        for ip in claim.addresses:
            network = self._network_of_claim(ip, mac, packet.vlan)
            if network is None or mac is None:
                continue
            address = self._tables.use_address(network, ip, packet.time)
            until = packet.time + lifetime
            lease, is_new = address.lease(mac, packet.time, until, claim.server_id, had_before)
            lease.client = claim.client_id
            self._tables.evidence.store(lease, frames)
            host = self._tables.use_host(network, mac, packet.time)
            if is_new:
                self._begin(address, lease)
            if hostname:
                lease.hostname = hostname
                self._tables.evidence.store(host, frames)
                if host.set_name(
                    hostname, packet.time, from_dhcp=True, without_address=not had_before
                ):
                    lease.reported_by_ip_until = min(lease.reported_by_ip_until, packet.time - 1)
            host.add_lease(lease)

    def _announce(self, packet: Packet, claim: AddressClaim) -> None:
        """A host shows that it uses addresses: ARP, neighbor discovery, mDNS."""
        ips = claim.addresses or (packet.src,)
        mac = claim.mac or packet.src_mac
        for_other = claim.on_link and claim.mac is not None and claim.mac != packet.src_mac
        if mac is None or for_other or (claim.mac is None and packet.src not in ips):
            self.refused += 1
            return
        if claim.is_router:
            self._tables.add_router(mac)
        for ip in ips:
            network = self._network_of_claim(ip, mac, packet.vlan)
            if network is None:
                continue
            address = self._tables.use_address(network, ip, packet.time)
            in_use = any(binding.mac != mac for binding in address.active(packet.time))
            if in_use and self._tables.is_router(mac):
                continue  # The router answers for hosts behind it (RFC 1027, RFC 4389).
            binding, is_new = address.use(mac, packet.time)
            if not binding.is_lease:
                self._tables.evidence.store(binding, packet.frames)
            if is_new:
                self._begin(address, binding)
            host = self._tables.use_host(network, mac, packet.time)
            if claim.hostname:
                host.set_name(claim.hostname, packet.time, from_dhcp=False, without_address=False)
                if host.identity(packet.time)[1] == claim.hostname:
                    self._tables.evidence.store(host, packet.frames)

    def _end(self, packet: Packet, claim: AddressClaim) -> None:
        """A DHCP server refuses addresses, or a client gives them up."""
        request = self.requests.get(claim.transaction_id) if claim.kind == "nak" else None
        for ip in request.ips if request else claim.addresses:
            network = self._network_of(ip, packet.vlan)
            address = self._tables.find_address(network, ip) if network is not None else None
            if address is not None:
                address.release(claim.mac, claim.client_id, packet.time)

    def _begin(self, address: Address, binding: AddressBinding) -> None:
        """A device is known from now on. If contacts of the same device were reported under the
        address, they go on under it until the quiet gap, so that no incident is split."""
        self._tables.evicted += address.evicted
        address.evicted = 0
        if address.reported_time is None:
            return
        if binding.had_before or address.reported_mac == binding.mac:
            binding.reported_by_ip_until = address.reported_time + self._gap

    def _network_of_claim(self, ip: bytes, mac: bytes | None, vlan: int | None) -> str | None:
        """The network of an address; None outside of all networks, and where the address or the
        MAC cannot belong to a device."""
        if mac is None or len(mac) != 6 or mac[0] & 1 or not any(mac) or not _is_unicast(ip):
            self.refused += 1
            return None
        return self._network_of(ip, vlan)


def _is_unicast(ip: bytes) -> bool:
    """Whether a packed address can be that of a host (RFC 6890)."""
    if len(ip) == 4:
        return ip[0] not in (0, 127) and ip[0] < 224
    return len(ip) == 16 and ip[0] != 0xFF and any(ip[:15])
