"""What was learned from the wire: which device has an IP address, and its host name.

Messages of DHCP, mDNS, ARP and neighbor discovery claim addresses (`netwatch.inventory.claims`). A
claim counts from its packet on, until it expires or another device has the address. Nothing is
guessed: where two devices have one IP or MAC address at the same time, the answer is that they
cannot be told apart.

A contact is reported under the identity that its device has at that moment. A device whose contacts
were reported under its address before it was known keeps that identity until it has been quiet for
a while, so that no incident is split in two when its name is learned.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal

from netwatch.core.message import Message
from netwatch.core.packet import Packet
from netwatch.core.verdict import Binding, BindingPeriod
from netwatch.inventory.bindings import ENTRY_LIMIT, Address, AddressBinding, BindingTables, mac_id
from netwatch.inventory.claims import ClaimRecorder, NetworkOf


class LearnedBindings:
    """The devices of one capture, as learned from it.

    `network_of` finds the network of a packed address in a VLAN: the same address in two networks
    is two addresses, and outside of all networks nothing is learned. `quiet_gap` in ns ends
    incidents, `limit` bounds the tables. `before_change` is called before anything changes of what
    `past_binding` and `has_bindings` say. `shared_addresses` and `shared_macs` count contacts whose
    device could not be told apart from another.
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
        """Which device has an address at a time; None where that is not known. `mac` is that of
        the frame of a contact, `in_order` says that no later contact was judged before it."""
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
        """Whether a MAC address has said that it is a router, or uses addresses in several of these
        networks at a time without a lease of any: one that has a lease is a device that moves."""
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
        `mac` is that of the frame at the first."""
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
        """The answer for the active bindings of an address; `mac` is that of the frame."""
        last = active[-1]
        macs = {binding.mac for binding in active}
        if mac is not None and mac != last.mac:
            # Behind a router every frame has the router's MAC. A MAC that had the address itself
            # is no router, and may have the address still.
            macs |= {binding.mac for binding in address.bindings if binding.mac == mac}
        if len(macs) > 1:
            return Binding(None, None, None, "address", tuple(sorted(macs)))
        host = self._tables.find_host(network, last.mac)
        if host is not None and host.is_shared(time):
            return Binding(None, last.mac, None, "mac")
        id, name = host.identity(time) if host else (mac_id(last.mac), last.hostname or None)
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
