"""Address bindings: which MAC address has an IP address, and when; and the names and leases of its
host, in bounded tables.

A binding lasts from the packet that shows it until it expires or ends: a lease as long as its
server granted it, any other binding as long as the device keeps showing that it uses the address.
Two bindings of one address that overlap in time mean that two devices have it. All times are packet
times, in ns.

The name of a MAC address may change because the device was renamed, or because another device has
the MAC now, such as the next computer in a docking station. Only the latter begins a new identity.

An incident of a learned device can be reproduced from its evidence capture only if the device can
be learned from it again. The packets that last showed its binding and its name are therefore added
to the packets of its contacts. They are limited in bytes, in total and for each entry; what exceeds
a limit is counted, and contacts are then reported without these packets.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from netwatch.core.addresses import mac_text
from netwatch.core.flow import Frame

USE_LIFETIME = 4 * 3_600_000_000_000
"""How long an address stays bound to a device that showed that it uses it, ns. Routers keep an ARP
entry for as long."""

CONFLICT_WINDOW = 300_000_000_000
"""Two devices that show the same address within this time use it at the same time, ns."""

MAX_BINDINGS = 8
"""Bindings of one address, and leases of one host, to store."""

MAX_NAMES = 8
"""Names of one host to store."""

MAX_BYTES = 16 << 20
"""Bytes of packets that prove bindings and host names."""

MAX_ENTRY_BYTES = 4096
"""Bytes of packets that prove one binding or one host name."""

Frames = tuple[Frame, ...]


class AddressBinding:
    """An IP address belongs to `mac` from `since` up to, but without, `until`.

    `last_shown` is when a packet last showed it, and `is_lease` whether a DHCP server granted it;
    `hostname`, `client` and `server` are the lease's. With `had_before`, the client claimed to have
    had the address before the first packet. Up to `reported_by_ip_until`, contacts of the device
    are still reported under the address, as they were before the device was known.
    """

    __slots__ = (
        "client",
        "had_before",
        "hostname",
        "ip",
        "is_lease",
        "last_shown",
        "mac",
        "reported_by_ip_until",
        "server",
        "since",
        "until",
    )

    def __init__(self, ip: bytes, mac: bytes, time: int, had_before: bool) -> None:
        self.ip = ip
        self.mac = mac
        self.since = self.last_shown = self.until = time
        self.had_before = had_before
        self.is_lease = False
        self.hostname = ""
        self.client = self.server = b""
        self.reported_by_ip_until = -1

    def is_active(self, time: int) -> bool:
        """Whether the binding exists at a time."""
        return self.since <= time < self.until


class Address:
    """The bindings of one IP address, oldest first.

    `last_used` is when it was last updated or looked up. `reported_time` and `reported_mac` are the
    time and the frame's MAC of the last contact that was reported under the address itself. If
    there are too many bindings, the one that expires first is evicted; `evicted` counts those that
    had not expired.
    """

    __slots__ = ("_ip", "bindings", "evicted", "last_used", "reported_mac", "reported_time")

    def __init__(self, ip: bytes) -> None:
        self._ip = ip
        self.bindings: list[AddressBinding] = []
        self.evicted = 0
        self.last_used = 0
        self.reported_time: int | None = None
        self.reported_mac: bytes | None = None

    def active(self, time: int) -> list[AddressBinding]:
        """The bindings that exist at a time."""
        return [binding for binding in self.bindings if binding.is_active(time)]

    def is_leased(self, time: int) -> bool:
        """Whether a lease of the address exists at a time."""
        return any(binding.is_lease for binding in self.active(time))

    def lease(
        self, mac: bytes, time: int, until: int, server: bytes, had_before: bool
    ) -> tuple[AddressBinding, bool]:
        """A server grants the address to `mac`. Returns the binding, and whether it is new.

        This ends other leases of the same server, and bindings without a lease: the server knows
        that the address is free. It does not know another server's leases.
        """
        for other in self.active(time):
            of_other_server = other.is_lease and server and other.server and other.server != server
            if other.mac != mac and not of_other_server:
                other.until = time
        binding, is_new = self._binding(mac, time, had_before)
        binding.is_lease = True
        binding.server = server or binding.server
        binding.last_shown, binding.until = time, until
        return binding, is_new

    def use(self, mac: bytes, time: int) -> tuple[AddressBinding, bool]:
        """A device shows that it uses the address. Returns the binding, and whether it is new.

        A binding of another device without a lease lasts no longer than `CONFLICT_WINDOW` after
        that device last showed it; nor does this one if the address is leased to another device.
        """
        leased_to_other = False
        for other in self.active(time):
            if other.mac == mac:
                continue
            if other.is_lease:
                leased_to_other = True
            else:
                other.until = max(time, min(other.until, other.last_shown + CONFLICT_WINDOW))
        binding, is_new = self._binding(mac, time, False)
        binding.last_shown = time
        if not binding.is_lease:
            binding.until = time + (CONFLICT_WINDOW if leased_to_other else USE_LIFETIME)
        return binding, is_new

    def release(self, mac: bytes | None, client: bytes, time: int) -> None:
        """End the bindings of a MAC address, or of a DHCP client."""
        for binding in self.active(time):
            if binding.mac == mac or (client and binding.client == client):
                binding.until = time

    def _binding(self, mac: bytes, time: int, had_before: bool) -> tuple[AddressBinding, bool]:
        for binding in self.active(time):
            if binding.mac == mac:
                return binding, False
        binding = AddressBinding(self._ip, mac, time, had_before)
        if len(self.bindings) >= MAX_BINDINGS:
            first = min(self.bindings, key=lambda other: other.until)
            self.evicted += first.is_active(time)
            self.bindings.remove(first)
        self.bindings.append(binding)
        return binding, True


@dataclass(slots=True)
class _HostName:
    """A name that a host had from `since` on, and the id of the device under that name. It is
    `from_dhcp`, or only from mDNS."""

    since: int
    name: str
    from_dhcp: bool
    id: str


class Host:
    """A MAC address with its names, the first of which also counts for the time before it, and its
    leases. `last_used` is when it was last updated."""

    __slots__ = ("_id", "_leases", "_names", "last_used")

    def __init__(self, id: str) -> None:
        self._id = id
        self._leases: list[AddressBinding] = []
        self._names: list[_HostName] = []
        self.last_used = 0

    def set_name(self, name: str, time: int, *, from_dhcp: bool, without_address: bool) -> bool:
        """Set the name from `time` on; returns whether another device has the MAC from then on.

        That is so if a DHCP client that had no address before (`without_address`) has another name
        than the previous one. Otherwise the device was renamed. A name from DHCP takes precedence
        over one from mDNS.
        """
        last = self._names[-1] if self._names else None
        if last is None:
            self._names.append(_HostName(time, name, from_dhcp, self._id))
            return False
        if name == last.name or from_dhcp < last.from_dhcp:
            return False
        is_other = last.from_dhcp and from_dhcp and are_different_hosts(name, last.name)
        if not (without_address and is_other):
            last.name, last.from_dhcp = name, from_dhcp
            return False
        same = (known.id for known in self._names if not are_different_hosts(known.name, name))
        id = next(same, f"{self._id}/{name}")
        self._names[:] = [*self._names[1 - MAX_NAMES :], _HostName(time, name, from_dhcp, id)]
        return True

    def identity(self, time: int) -> tuple[str, str | None]:
        """The id and the name of the device at a time."""
        if not self._names:
            return self._id, None
        before = [known for known in self._names if known.since <= time]
        found = before[-1] if before else self._names[0]
        return found.id, found.name

    def add_lease(self, lease: AddressBinding) -> None:
        """Add a lease of this MAC."""
        if lease not in self._leases:
            self._leases[:] = [*self._leases[1 - MAX_BINDINGS :], lease]

    def is_leased(self, time: int) -> bool:
        """Whether a lease of this MAC exists at a time."""
        return any(lease.is_active(time) for lease in self._leases)

    def is_shared(self, time: int) -> bool:
        """Whether two devices have this MAC at a time: there are two leases, for two addresses of
        one IP version, whose clients have different names."""
        active = [lease for lease in self._leases if lease.is_active(time)]
        return any(
            one.ip != other.ip
            and len(one.ip) == len(other.ip)
            and are_different_hosts(one.hostname, other.hostname)
            for one, other in combinations(active, 2)
        )


def are_different_hosts(one: str, other: str) -> bool:
    """Whether two host names belong to different hosts. The same name may come with its domain or
    without it; an empty name may belong to any host."""
    if not one or not other or one == other:
        return False
    if "." in one and "." in other:
        return True
    return one.partition(".")[0] != other.partition(".")[0]


class BindingEvidence:
    """The packets that last showed a binding, or the name of a host. `dropped` counts entries
    that were evicted or too large."""

    def __init__(self) -> None:
        self._table: OrderedDict[AddressBinding | Host, Frames] = OrderedDict()
        self._bytes = 0
        self.dropped = 0

    def store(self, subject: AddressBinding | Host, frames: Frames) -> None:
        """Store the packets that show a binding or a host name, instead of earlier ones."""
        self._remove(subject)
        if not frames:
            return
        size = bytes_in(frames)
        if size > MAX_ENTRY_BYTES:
            self.dropped += 1
            return
        self._table[subject] = frames
        self._bytes += size
        while self._bytes > MAX_BYTES:
            self.dropped += 1
            self._remove(next(iter(self._table)))

    def frames_of(self, *subjects: AddressBinding | Host | None) -> Frames:
        """The stored packets for these, each once."""
        stored = [self._table.get(subject, ()) for subject in subjects if subject is not None]
        return tuple(dict.fromkeys(frame for frames in stored for frame in frames))

    def _remove(self, subject: AddressBinding | Host) -> None:
        self._bytes -= bytes_in(self._table.pop(subject, ()))


def bytes_in(frames: Frames) -> int:
    """The size of packets in bytes."""
    return sum(len(frame.data) for frame in frames)


ENTRY_LIMIT = 65_536
"""Addresses, and hosts, to store; of more the least recently used is evicted."""

ROUTER_LIMIT = 4096
"""MAC addresses of routers to store; of more the least recently seen is evicted."""

MAX_AGE = 24 * 3_600_000_000_000
"""Entries that have not been used for so long are removed, ns, unless they have an active lease."""

Key = tuple[str, bytes]
"""A network's name with a packed IP address or a MAC: the same address in two networks is two
addresses."""

_Entry = TypeVar("_Entry", Address, Host)


class BindingTables:
    """Addresses, hosts and routers, each up to a limit, and the packets that prove them.

    `limit` is the limit of addresses, and of hosts. `evicted` counts entries and bindings that were
    evicted because a table was full.
    """

    def __init__(self, limit: int = ENTRY_LIMIT) -> None:
        self._limit = limit
        self._addresses: OrderedDict[Key, Address] = OrderedDict()
        self._hosts: OrderedDict[Key, Host] = OrderedDict()
        self._routers: OrderedDict[bytes, None] = OrderedDict()
        self.evidence = BindingEvidence()
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._addresses)

    def find_address(self, network: str, ip: bytes) -> Address | None:
        """The entry of an address, None if there is none."""
        return self._addresses.get((network, ip))

    def find_host(self, network: str, mac: bytes) -> Host | None:
        """The entry of a host, None if there is none."""
        return self._hosts.get((network, mac))

    def use_address(self, network: str, ip: bytes, time: int) -> Address:
        """The entry of an address, created if there is none, and marked as used at a time."""
        return self._use(self._addresses, (network, ip), time, lambda: Address(ip))

    def use_host(self, network: str, mac: bytes, time: int) -> Host:
        """The entry of a host, created if there is none, and marked as used at a time."""
        return self._use(self._hosts, (network, mac), time, lambda: Host(mac_text(mac)))

    def is_router(self, mac: bytes) -> bool:
        """Whether a MAC address is known to belong to a router."""
        return mac in self._routers

    def add_router(self, mac: bytes) -> None:
        """Note that a MAC address belongs to a router."""
        self._routers[mac] = None
        self._routers.move_to_end(mac)
        if len(self._routers) > ROUTER_LIMIT:
            self.evicted += 1
            self._routers.popitem(last=False)

    def _use(
        self,
        table: OrderedDict[Key, _Entry],
        key: Key,
        time: int,
        create: Callable[[], _Entry],
    ) -> _Entry:
        """The entry of a table. Each call checks only the least recently used entry for expiry, so
        that its cost does not depend on the size of the table."""
        entry = table.get(key)
        if entry is None:
            entry = table[key] = create()
        entry.last_used = max(entry.last_used, time)
        table.move_to_end(key)
        oldest_key, oldest = next(iter(table.items()))
        if len(table) > self._limit:
            self.evicted += 1
            del table[oldest_key]
        elif oldest.last_used + MAX_AGE < time:
            if oldest.is_leased(time):
                oldest.last_used = time
                table.move_to_end(oldest_key)
            else:
                del table[oldest_key]
        return entry
