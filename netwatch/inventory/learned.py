"""Devices learned from the wire: which hardware address and host name an address has.

Messages of DHCP, mDNS, ARP and neighbour discovery claim addresses, much as a switch
that snoops on them builds its bindings (RFC 7513). What a claim says holds from its packet
on, until the lease ends or somebody else has the address. Nothing is guessed: where two
devices have one address or one hardware address at the same time, that is what is told.

A contact is told under the name that its device has at that moment. A device whose
address was told before anything was known of it goes on under that address until it has
been quiet for a while, so that no incident falls in two when a name is learned.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from netwatch.core.frame import Frame
from netwatch.core.message import AddressClaim, Message
from netwatch.core.packet import Packet
from netwatch.core.verdict import Binding
from netwatch.inventory.binding_evidence import MAX_OF_ONE, Grounds
from netwatch.inventory.bindings import USED_FOR, Address, Hold, Station

LIMIT = 65_536
"""Addresses, and hardware addresses, that are remembered; of more the least recent goes."""

PENDING_LIMIT = 4096
"""DHCP requests that wait for their answer; of more the oldest goes."""

PENDING_AGE = 60_000_000_000
"""How long an answer is waited for, ns: what RFC 2131 section 4.1 lets a client try."""

ROUTER_LIMIT = 4096
"""Hardware addresses of routers that are remembered."""

AGE = 24 * 3_600_000_000_000
"""What nobody told or asked of for so long is forgotten, ns, but for leases that go on."""

_SECOND = 1_000_000_000
_Place = str
_Key = tuple[_Place, bytes]
_Entry = TypeVar("_Entry", Address, Station)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A DHCP request: when, by whom, under which name, for which addresses."""

    time: int
    mac: bytes | None
    direct: bool
    name: str
    ips: tuple[bytes, ...]
    kept: bool
    frames: tuple[Frame, ...]


class LearnedBindings:
    """What is known of the devices of one capture.

    `place` tells the network of a packed address in a VLAN, None outside: the same address
    in two networks is two addresses, and outside nothing is learned. `quiet_gap` in ns
    is the silence that ends incidents. `dropped` counts what was forgotten because there
    was too much, `refused` claims that cannot be: of no device's address, or with another
    hardware address than that of their frame, or for others. `shared_addresses` and
    `shared_macs` count contacts of devices that could not be told apart.
    """

    def __init__(
        self,
        place: Callable[[bytes, int | None], str | None],
        quiet_gap: int,
        limit: int = LIMIT,
    ) -> None:
        self._place = place
        self._gap = quiet_gap
        self._limit = limit
        self._addresses: OrderedDict[_Key, Address] = OrderedDict()
        self._stations: OrderedDict[_Key, Station] = OrderedDict()
        self._pending: OrderedDict[bytes, _Asked] = OrderedDict()
        self._routers: OrderedDict[bytes, None] = OrderedDict()
        self._grounds = Grounds()
        self.dropped = 0
        self.refused = 0
        self.shared_addresses = 0
        self.shared_macs = 0

    def __len__(self) -> int:
        return len(self._addresses)

    @property
    def evidence_dropped(self) -> int:
        """How often packets that said who has an address could not be kept as proof."""
        return self._grounds.lost

    def record(self, packet: Packet, message: Message) -> None:
        """Take what a message claims, at the time of its packet."""
        for claim in message.claims:
            if claim.kind == "request":
                self._asks(packet, claim)
            elif claim.kind == "lease":
                self._leased(packet, claim)
            elif claim.kind == "announcement":
                self._held(packet, claim)
            else:
                asked = self._pending.get(claim.transaction_id)
                refused = claim.kind == "nak" and asked is not None
                ips = asked.ips if refused and asked else claim.addresses
                for ip in ips:
                    place = self._place(ip, packet.vlan)
                    address = self._addresses.get((place, ip)) if place is not None else None
                    if address is not None:
                        address.end(claim.mac, claim.client_id, packet.time)

    def binding_at(
        self, ip: bytes, mac: bytes | None, vlan: int | None, time: int, *, now: bool = True
    ) -> Binding | None:
        """Who has an address at a time, None where nothing is known. `mac` is that of the
        frame in which a contact came, `now` says that it came in its turn."""
        place = self._place(ip, vlan)
        if place is None:
            return None
        address = self._addresses.get((place, ip))
        live = address.live(time) if address is not None else []
        if address is None or not live:
            return None
        if now:
            self._entry(self._addresses, (place, ip), time, Address, ip)
        binding = self._binding(place, address, live, mac, time)
        if binding.ambiguity == "mac":
            self.shared_macs += 1
        elif binding.ambiguity is not None:
            self.shared_addresses += 1
        elif time <= live[-1].plain_until:
            return Binding(None, binding.mac, binding.hostname, frames=binding.frames)
        return binding

    def mark_reported(self, ip: bytes, mac: bytes | None, vlan: int | None, time: int) -> None:
        """A contact was told in its turn, under its address for want of anything better."""
        place = self._place(ip, vlan)
        if place is None:
            return
        address = self._entry(self._addresses, (place, ip), time, Address, ip)
        live = address.live(time)
        if not live:
            address.plain_time, address.plain_mac = time, mac
        elif time <= live[-1].plain_until:
            live[-1].plain_until = max(live[-1].plain_until, time + self._gap)

    def has_bindings(self, ip: bytes, vlan: int | None) -> bool:
        """Whether anything is known of who has this address, at any time."""
        place = self._place(ip, vlan)
        address = self._addresses.get((place, ip)) if place is not None else None
        return address is not None and bool(address.holds)

    def past_binding(
        self, ip: bytes, mac: bytes | None, vlan: int | None, time: int
    ) -> Binding | None:
        """Like `who` for a time that is over, with all that was learned since: a device
        that was there before it was known is known from then on."""
        place = self._place(ip, vlan)
        address = self._addresses.get((place, ip)) if place is not None else None
        if address is None or place is None:
            return None
        live = address.live(time)
        if not live:
            later = [hold for hold in address.holds if hold.since > time]
            gone = len(later) < len(address.holds)
            live = [hold for hold in later[:1] if hold.mac == mac or (hold.kept and not gone)]
        return self._binding(place, address, live, mac, time) if live else None

    def is_same_device(
        self, ip: bytes, mac: bytes | None, vlan: int | None, one: int, other: int
    ) -> bool:
        """Whether an address is with the same device at a time and at a later one; `mac` is
        that of the frame at the first."""
        place = self._place(ip, vlan)
        address = self._addresses.get((place, ip)) if place is not None else None
        if address is None:
            return True
        now = address.live(other)
        before = {hold.mac for hold in address.live(one)}
        if before:
            return before == {hold.mac for hold in now}
        return all(hold.kept or hold.mac == mac for hold in now)

    def _binding(
        self, place: _Place, address: Address, live: list[Hold], mac: bytes | None, time: int
    ) -> Binding:
        hold = live[-1]
        others = {each.mac for each in live}
        if mac is not None and mac != hold.mac:
            # Behind a router every frame has the router's MAC. One that had the address
            # itself is no router, and may have it still.
            others |= {each.mac for each in address.holds if each.mac == mac}
        if len(others) > 1:
            return Binding(None, None, None, "address")
        station = self._stations.get((place, hold.mac))
        id, name = station.called(time) if station else (mac_id(hold.mac), hold.name or None)
        if station is not None and station.is_shared(time):
            return Binding(None, hold.mac, None, "mac")
        sender = self._stations.get((place, mac)) if mac and mac != hold.mac else None
        leased = sender is not None and sender.lasts(time) and mac not in self._routers
        return Binding(
            id, hold.mac, name, "frame" if leased else None, self._grounds.of(station, hold)
        )

    def _asks(self, packet: Packet, claim: AddressClaim) -> None:
        known = self._pending.pop(claim.transaction_id, None)
        mac = packet.src_mac if claim.on_link and packet.src_mac else claim.mac
        if known is not None and known.direct and not claim.on_link:
            mac = known.mac  # heard from the client itself, before its relay passed it on
        direct = claim.on_link or (known is not None and known.direct)
        name = claim.hostname or (known.name if known is not None else "")
        self._pending[claim.transaction_id] = _Asked(
            packet.time, mac, direct, name, claim.addresses, claim.renewal, _few(packet.frames)
        )
        while self._pending:
            oldest = next(iter(self._pending.values()))
            aged = oldest.time + PENDING_AGE < packet.time
            if not aged and len(self._pending) <= PENDING_LIMIT:
                break
            self.dropped += not aged
            self._pending.popitem(last=False)

    def _leased(self, packet: Packet, claim: AddressClaim) -> None:
        asked = self._pending.get(claim.transaction_id)
        mac = claim.mac
        if asked is not None and asked.mac is not None:
            mac = asked.mac
        elif claim.on_link and packet.dst_mac and not packet.dst_mac[0] & 1:
            mac = packet.dst_mac
        name = claim.hostname or (asked.name if asked else "")
        kept = asked.kept if asked else False
        lifetime = USED_FOR if claim.lifetime is None else claim.lifetime * _SECOND
        for ip in claim.addresses:
            place = self._sound(ip, mac, packet.vlan)
            if place is None or mac is None:
                continue
            address = self._entry(self._addresses, (place, ip), packet.time, Address, ip)
            hold, new = address.lease(
                mac, packet.time, packet.time + lifetime, claim.server_id, kept
            )
            hold.client = claim.client_id
            frames = (*(asked.frames if asked else ()), *packet.frames)
            self._grounds.keep(hold, frames)
            station = self._entry(self._stations, (place, mac), packet.time, Station, mac_id(mac))
            if new:
                self._began(address, hold)
            if name:
                hold.name = name
                self._grounds.keep(station, frames)
                if station.call(name, packet.time, surely=True, fresh=not kept):
                    hold.plain_until = min(hold.plain_until, packet.time - 1)
            station.leased(hold)

    def _held(self, packet: Packet, claim: AddressClaim) -> None:
        ips = claim.addresses or (packet.src,)
        mac = claim.mac or packet.src_mac
        foreign = claim.on_link and claim.mac is not None and claim.mac != packet.src_mac
        if mac is None or foreign or (claim.mac is None and packet.src not in ips):
            self.refused += 1
            return
        if claim.is_router:
            self._routers[mac] = None
            self._routers.move_to_end(mac)
            if len(self._routers) > ROUTER_LIMIT:
                self.dropped += 1
                self._routers.popitem(last=False)
        for ip in ips:
            place = self._sound(ip, mac, packet.vlan)
            if place is None:
                continue
            address = self._entry(self._addresses, (place, ip), packet.time, Address, ip)
            others = any(hold.mac != mac for hold in address.live(packet.time))
            if others and mac in self._routers:
                continue  # it answers for hosts behind it (RFC 1027, RFC 4389)
            hold, new = address.use(mac, packet.time)
            if not hold.leased:
                self._grounds.keep(hold, packet.frames)
            if new:
                self._began(address, hold)
            station = self._entry(self._stations, (place, mac), packet.time, Station, mac_id(mac))
            if claim.hostname:
                station.call(claim.hostname, packet.time, surely=False, fresh=False)
                if station.called(packet.time)[1] == claim.hostname:
                    self._grounds.keep(station, packet.frames)

    def _began(self, address: Address, hold: Hold) -> None:
        """A device is known from now on. Where it is the one that contacts were told of as
        the address, it goes on as that until it is quiet."""
        self.dropped += address.forgotten
        address.forgotten = 0
        if address.plain_time is None or not (hold.kept or address.plain_mac == hold.mac):
            return
        hold.plain_until = address.plain_time + self._gap

    def _sound(self, ip: bytes, mac: bytes | None, vlan: int | None) -> str | None:
        """The place of an address where both can be those of a device, else None."""
        if mac is None or len(mac) != 6 or mac[0] & 1 or not any(mac) or not _unicast(ip):
            self.refused += 1
            return None
        return self._place(ip, vlan)

    def _entry(
        self,
        table: OrderedDict[_Key, _Entry],
        key: _Key,
        time: int,
        make: Callable[..., _Entry],
        argument: bytes | str,
    ) -> _Entry:
        """The entry of a table, made where there is none, and what is too old or too much
        thrown out, a step at a time."""
        entry = table.get(key)
        if entry is None:
            entry = table[key] = make(argument)
        entry.touched = max(entry.touched, time)
        table.move_to_end(key)
        oldest_key, oldest = next(iter(table.items()))
        if len(table) > self._limit:
            self.dropped += 1
            del table[oldest_key]
        elif oldest.touched + AGE < time:
            if oldest.lasts(time):
                oldest.touched = time
                table.move_to_end(oldest_key)
            else:
                del table[oldest_key]
        return entry


def _few(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Packets of a request, unless they are more than will be kept anyway."""
    return frames if sum(len(frame.data) for frame in frames) <= MAX_OF_ONE else ()


def mac_id(mac: bytes) -> str:
    """The id of a device that is known by its hardware address."""
    return mac.hex(":")


def _unicast(ip: bytes) -> bool:
    """Whether a packed address can be that of a host (RFC 6890)."""
    if len(ip) == 4:
        return ip[0] not in (0, 127) and ip[0] < 224
    return len(ip) == 16 and ip[0] != 0xFF and any(ip[:15])
