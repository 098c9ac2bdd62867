"""What was learned from the wire: which device has an IP address, and its host name.

Messages of DHCP, mDNS, ARP and neighbor discovery claim addresses. A claim counts from its packet
on, until it expires or another device has the address. Nothing is guessed: if two devices have one
IP or MAC address at the same time, the answer is that they cannot be told apart.

A contact is reported under the identity that its device has at that moment. A device whose contacts
were reported under its address before it was known keeps that identity until it has been quiet for
a while, so that no incident is split in two when its name is learned.

Claims become bindings as on a switch with DHCP snooping (RFC 7513). A claim is only believed if it
is authoritative: what a DHCP server grants, and what a host announces about its own addresses in a
frame with its own MAC. Everything else is refused and counted.

The answer of a DHCP server does not repeat everything in the request: the host name, and in DHCPv6
the client's MAC, are only known from the request, which waits for it. Requests and answers have the
same transaction id.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from netwatch.core.addresses import mac_text
from netwatch.core.flow import Frame
from netwatch.core.message import AddressClaim, Message, Packet
from netwatch.core.verdict import Binding, BindingPeriod
from netwatch.inventory.bindings import (
    ENTRY_LIMIT,
    MAX_ENTRY_BYTES,
    USE_LIFETIME,
    Address,
    AddressBinding,
    BindingTables,
    bytes_in,
)

REQUEST_LIMIT = 4096
"""DHCP requests that wait for an answer, at most; of more the oldest is evicted."""

REQUEST_TIMEOUT = 60_000_000_000
"""How long a request waits for its answer, ns; a client retries for as long (RFC 2131 section
4.1)."""

NetworkOf = Callable[[bytes, int | None], str | None]
"""The name of the network of a packed address in a VLAN; None outside all networks."""

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class DhcpRequest:
    """A client's request: when, with which MAC and host name, and for which addresses. It is
    `from_client` if it was captured before a relay forwarded it. `had_before`: the client claimed
    to have had the address before. `frames` are its packets, if evidence is wanted."""

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
                mac = earlier.mac  # A relay's frame has the relay's MAC.
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

    `network_of` finds the network of an address; outside all networks nothing is recorded.
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
        address, further ones are too until the quiet gap, so that no incident is split."""
        self._tables.evicted += address.evicted
        address.evicted = 0
        if address.reported_time is None:
            return
        if binding.had_before or address.reported_mac == binding.mac:
            binding.reported_by_ip_until = address.reported_time + self._gap

    def _network_of_claim(self, ip: bytes, mac: bytes | None, vlan: int | None) -> str | None:
        """The network of an address; None outside all networks, and if the address or the MAC
        cannot belong to a device."""
        if mac is None or len(mac) != 6 or mac[0] & 1 or not any(mac) or not _is_unicast(ip):
            self.refused += 1
            return None
        return self._network_of(ip, vlan)


def _is_unicast(ip: bytes) -> bool:
    """Whether a packed address can be a host's (RFC 6890)."""
    if len(ip) == 4:
        return ip[0] not in (0, 127) and ip[0] < 224
    return len(ip) == 16 and ip[0] != 0xFF and any(ip[:15])


class LearnedBindings:
    """The devices of one capture, as learned from it.

    `network_of` finds the network of a packed address in a VLAN: the same address in two networks
    is two addresses, and outside all networks nothing is learned. `quiet_gap` in ns ends incidents,
    `limit` bounds the tables. `before_change` is called before a result of `past_binding` or
    `has_bindings` changes. `shared_addresses` and `shared_macs` count contacts whose device could
    not be told apart from another.
    """

    def __init__(
        self,
        network_of: NetworkOf,
        quiet_gap: int,
        limit: int = ENTRY_LIMIT,
        before_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._network_of = network_of
        self._before_change = before_change
        self._gap = quiet_gap
        self._tables = BindingTables(limit)
        self._recorder = ClaimRecorder(self._tables, network_of, quiet_gap)
        self.shared_addresses = 0
        self.shared_macs = 0

    def __len__(self) -> int:
        return len(self._tables)

    @property
    def evicted(self) -> int:
        """Entries and requests that were evicted because a table was full."""
        return self._tables.evicted + self._recorder.requests.evicted

    @property
    def refused(self) -> int:
        """Claims that cannot be true, or were made for another device."""
        return self._recorder.refused

    @property
    def evidence_dropped(self) -> int:
        """Bindings and host names whose packets exceeded the limits of evidence."""
        return self._tables.evidence.dropped

    def record(self, packet: Packet, message: Message) -> None:
        """Record the claims of a message, at the time of its packet."""
        self._before_change()
        for claim in message.claims:
            self._recorder.record(packet, claim)

    def binding_at(
        self, ip: bytes, mac: bytes | None, vlan: int | None, time: int, *, in_order: bool = True
    ) -> Binding | None:
        """The device that has an address at a time; None if that is not known. `mac` is from the
        frame of a contact, `in_order` means that no later contact was judged before it."""
        network = self._network_of(ip, vlan)
        if network is None:
            return None
        address = self._tables.find_address(network, ip)
        active = address.active(time) if address is not None else []
        if address is None or not active:
            return None
        if in_order:
            self._before_change()
            self._tables.use_address(network, ip, time)
        binding = self._binding(network, address, active, mac, time)
        if binding.ambiguity == "mac":
            self.shared_macs += 1
        elif binding.ambiguity is not None:
            self.shared_addresses += 1
        elif time <= active[-1].reported_by_ip_until:
            return replace(binding, id=None)
        return binding

    def is_gateway(self, mac: bytes, networks: Iterable[str], time: int) -> bool:
        """Whether a MAC address has announced itself as a router, or uses addresses in several of
        these networks at a time without any lease: one that has a lease is a moving device."""
        if self._tables.is_router(mac):
            return True
        known = [self._tables.find_host(network, mac) for network in networks]
        hosts = [host for host in known if host is not None]
        return len(hosts) > 1 and not any(host.is_leased(time) for host in hosts)

    def mark_reported(self, ip: bytes, mac: bytes | None, vlan: int | None, time: int) -> None:
        """Note that a contact was reported under its address, because its device is not known or
        was not known when the incident began."""
        network = self._network_of(ip, vlan)
        if network is None:
            return
        self._before_change()
        address = self._tables.use_address(network, ip, time)
        active = address.active(time)
        if not active:
            address.reported_time, address.reported_mac = time, mac
        elif time <= active[-1].reported_by_ip_until:
            until = max(active[-1].reported_by_ip_until, time + self._gap)
            active[-1].reported_by_ip_until = until

    def has_bindings(self, ip: bytes, vlan: int | None) -> bool:
        """Whether a device is known to have this address at any time."""
        address = self._find(ip, vlan)
        return address is not None and bool(address.bindings)

    def past_binding(
        self, ip: bytes, mac: bytes | None, vlan: int | None, time: int
    ) -> Binding | None:
        """Like `binding_at` for a time in the past, with everything that was learned since: a
        device that had the address before it was known counts from then on."""
        network, address = self._network_of(ip, vlan), self._find(ip, vlan)
        if address is None or network is None:
            return None
        active = address.active(time)
        if not active:
            later = [binding for binding in address.bindings if binding.since > time]
            is_first = len(later) == len(address.bindings)
            active = [
                binding
                for binding in later[:1]
                if binding.mac == mac or (binding.had_before and is_first)
            ]
        return self._binding(network, address, active, mac, time) if active else None

    def is_same_device(
        self, ip: bytes, mac: bytes | None, vlan: int | None, first: int, second: int
    ) -> bool:
        """Whether an address belongs to the same device at a `first` and at a later `second` time;
        `mac` is from the frame at the first."""
        address = self._find(ip, vlan)
        if address is None:
            return True
        after = address.active(second)
        before = {binding.mac for binding in address.active(first)}
        if before:
            return before == {binding.mac for binding in after}
        return all(binding.had_before or binding.mac == mac for binding in after)

    def _find(self, ip: bytes, vlan: int | None) -> Address | None:
        network = self._network_of(ip, vlan)
        return self._tables.find_address(network, ip) if network is not None else None

    def _binding(
        self,
        network: str,
        address: Address,
        active: list[AddressBinding],
        mac: bytes | None,
        time: int,
    ) -> Binding:
        """The answer for the active bindings of an address; `mac` is from the frame."""
        last = active[-1]
        macs = {binding.mac for binding in active}
        if mac is not None and mac != last.mac:
            # Behind a router every frame has the router's MAC. A MAC that had the address itself is
            # not a router, and may still have the address.
            macs |= {binding.mac for binding in address.bindings if binding.mac == mac}
        if len(macs) > 1:
            return Binding(None, None, None, "address", tuple(sorted(macs)))
        host = self._tables.find_host(network, last.mac)
        if host is not None and host.is_shared(time):
            return Binding(None, last.mac, None, "mac")
        id, name = host.identity(time) if host else (mac_text(last.mac), last.hostname or None)
        frames = self._tables.evidence.frames_of(host, last)
        from_other = mac is not None and mac != last.mac and self._is_client(network, mac, time)
        source = "dhcp" if last.is_lease else "announcement"
        period = BindingPeriod(source, last.since, last.until)
        ambiguity: Literal["frame"] | None = "frame" if from_other else None
        return Binding(id, last.mac, name, ambiguity, frames=frames, period=period)

    def _is_client(self, network: str, mac: bytes, time: int) -> bool:
        """Whether a MAC address has an active lease, and is not known to be a router."""
        host = self._tables.find_host(network, mac)
        return host is not None and host.is_leased(time) and not self._tables.is_router(mac)
