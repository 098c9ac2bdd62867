"""Hosts: MAC addresses with the names and the leases that they had.

The name of a MAC address may change because the device was renamed, or because another device has
the MAC now, such as the next computer in a docking station. Only the latter begins a new identity.
All times are those of packets, in ns.
"""

from dataclasses import dataclass
from itertools import combinations

from netwatch.inventory.bindings import MAX_BINDINGS, AddressBinding

MAX_NAMES = 8
"""Names of one host that are stored."""


@dataclass(slots=True)
class _HostName:
    """A name that a host had from `since` on, and the id of the device under that name. It is
    `from_dhcp`, or from mDNS alone."""

    since: int
    name: str
    from_dhcp: bool
    id: str


class Host:
    """A MAC address with its names, of which the first also counts for the time before it, and
    its leases. `last_used` is when it was last updated."""

    __slots__ = ("_id", "_leases", "_names", "last_used")

    def __init__(self, id: str) -> None:
        self._id = id
        self._leases: list[AddressBinding] = []
        self._names: list[_HostName] = []
        self.last_used = 0

    def set_name(self, name: str, time: int, *, from_dhcp: bool, without_address: bool) -> bool:
        """Set the name from `time` on; whether another device has the MAC from then on.

        That is so where a DHCP client that had no address before (`without_address`) has another
        name than the one before. Otherwise the device was renamed. A name from DHCP takes
        precedence over one from mDNS.
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
