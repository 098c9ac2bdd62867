"""Who holds an address and when, and what a hardware address is called.

A *hold* is the time in which an address belongs to one hardware address: a lease as long
as its server gave it, else as long as the device goes on showing that it has it. Two
that overlap are two devices with one address. A *station* is a hardware address with the
host names that it had, one after the other. Times are those of packets, ns.
"""

from collections.abc import Iterator

USED_FOR = 4 * 3_600_000_000_000
"""How long an address stays with a device that showed that it has it, ns: what routers
keep an ARP entry for."""

AT_ONCE = 300_000_000_000
"""Two devices that show the same address within this time have it at once, ns."""

MAX_HOLDS = 8
"""Holds that are remembered of one address, and leases of one station."""

MAX_NAMES = 8
"""Names that are remembered of one station."""


class Hold:
    """The time from `since` up to, but without, `until` in which `mac` has an address;
    `last` is when it was last told. `name` and `server` are those of its lease. `kept`
    says that it had it before already. Up to `plain_until` contacts go on under the
    address, as which the device was told before it was known."""

    __slots__ = (
        "client",
        "ip",
        "kept",
        "last",
        "leased",
        "mac",
        "name",
        "plain_until",
        "server",
        "since",
        "until",
    )

    def __init__(self, ip: bytes, mac: bytes, time: int, kept: bool) -> None:
        self.ip = ip
        self.mac = mac
        self.since = self.last = self.until = time
        self.kept = kept
        self.leased = False
        self.name = ""
        self.client = self.server = b""
        self.plain_until = -1

    def covers(self, time: int) -> bool:
        """Whether it holds at a time."""
        return self.since <= time < self.until


class Address:
    """The holds of one address, oldest first. `touched` is when it was last told or asked
    of; `plain_time` and `plain_mac` when a contact was last told as the address itself,
    and in which frame. Of too many holds the one goes that is over first; `forgotten`
    counts those that were not over yet."""

    __slots__ = ("_ip", "forgotten", "holds", "plain_mac", "plain_time", "touched")

    def __init__(self, ip: bytes) -> None:
        self._ip = ip
        self.holds: list[Hold] = []
        self.forgotten = 0
        self.touched = 0
        self.plain_time: int | None = None
        self.plain_mac: bytes | None = None

    def live(self, time: int) -> list[Hold]:
        """Those that hold at a time."""
        return [hold for hold in self.holds if hold.covers(time)]

    def lasts(self, time: int) -> bool:
        """Whether it is leased to somebody at a time."""
        return any(hold.leased for hold in self.live(time))

    def lease(
        self, mac: bytes, time: int, until: int, server: bytes, kept: bool
    ) -> tuple[Hold, bool]:
        """A server gives the address; the hold, and whether it is new. The server knows
        that whoever had it from itself, or had it without a lease, has it no more; what
        another server gave it does not know."""
        for other in self.live(time):
            elsewhere = other.leased and server and other.server and other.server != server
            if other.mac != mac and not elsewhere:
                other.until = time
        hold, new = self._of(mac, time, kept)
        hold.leased = True
        hold.server = server or hold.server
        hold.last, hold.until = time, until
        return hold, new

    def use(self, mac: bytes, time: int) -> tuple[Hold, bool]:
        """A device shows that it has the address; the hold, and whether it is new. What
        another showed just before counts no longer than `AT_ONCE` from then on, nor does
        this where the address is leased to another."""
        leased = False
        for other in self.live(time):
            if other.mac == mac:
                continue
            if other.leased:
                leased = True
            else:
                other.until = max(time, min(other.until, other.last + AT_ONCE))
        hold, new = self._of(mac, time, False)
        hold.last = time
        if not hold.leased:
            hold.until = time + (AT_ONCE if leased else USED_FOR)
        return hold, new

    def end(self, mac: bytes | None, client: bytes, time: int) -> None:
        """Whoever has this hardware address, or is this DHCP client, has it no more."""
        for hold in self.live(time):
            if hold.mac == mac or (client and hold.client == client):
                hold.until = time

    def _of(self, mac: bytes, time: int, kept: bool) -> tuple[Hold, bool]:
        for hold in self.live(time):
            if hold.mac == mac:
                return hold, False
        hold = Hold(self._ip, mac, time, kept)
        if len(self.holds) >= MAX_HOLDS:
            first = min(self.holds, key=lambda each: each.until)
            self.forgotten += first.covers(time)
            self.holds.remove(first)
        self.holds.append(hold)
        return hold, True


class _Called:
    """A name that a station had from `since` on. `surely`: by DHCP, not mDNS alone."""

    __slots__ = ("id", "name", "since", "surely")

    def __init__(self, since: int, name: str, surely: bool, id: str) -> None:
        self.since, self.name, self.surely, self.id = since, name, surely, id


class Station:
    """A hardware address, with its names, the first of which counts for the time before it
    too, and the holds that it had by a lease."""

    __slots__ = ("_id", "_leases", "_names", "touched")

    def __init__(self, id: str) -> None:
        self._id = id
        self._leases: list[Hold] = []
        self._names: list[_Called] = []
        self.touched = 0

    def call(self, name: str, time: int, *, surely: bool, fresh: bool) -> bool:
        """Take a name; whether it tells that another device is there now. That is so where
        a client without an address (`fresh`) has another name than the one before, such as
        the next computer in a docking station; else the device was renamed."""
        last = self._names[-1] if self._names else None
        if last is None:
            self._names.append(_Called(time, name, surely, self._id))
        elif surely >= last.surely and name != last.name:
            if not (fresh and surely and last.surely and are_different_hosts(name, last.name)):
                last.name, last.surely = name, surely
                return False
            known = (each.id for each in self._names if not are_different_hosts(each.name, name))
            id = next(known, f"{self._id}/{name}")
            self._names[:] = [*self._names[1 - MAX_NAMES :], _Called(time, name, surely, id)]
            return True
        return False

    def called(self, time: int) -> tuple[str, str | None]:
        """The id and the name of the device at a time."""
        if not self._names:
            return self._id, None
        before = [each for each in self._names if each.since <= time]
        found = before[-1] if before else self._names[0]
        return found.id, found.name

    def lasts(self, time: int) -> bool:
        """Whether it has a lease at a time."""
        return any(hold.covers(time) for hold in self._leases)

    def leased(self, hold: Hold) -> None:
        """Take a hold that it has by a lease."""
        if hold not in self._leases:
            self._leases[:] = [*self._leases[1 - MAX_HOLDS :], hold]

    def is_shared(self, time: int) -> bool:
        """Whether two devices have this hardware address at a time: two leases for two
        addresses, whose clients have two names."""
        live = [hold for hold in self._leases if hold.covers(time)]
        return any(
            are_different_hosts(one.name, other.name)
            for one, other in _pairs(live)
            if one.ip != other.ip
        )


def _pairs(holds: list[Hold]) -> Iterator[tuple[Hold, Hold]]:
    for at, one in enumerate(holds):
        for other in holds[:at]:
            if len(one.ip) == len(other.ip):
                yield one, other


def are_different_hosts(one: str, other: str) -> bool:
    """Whether two host names are those of two hosts: the same name may come with its
    domain or without."""
    if not one or not other or one == other:
        return False
    if "." in one and "." in other:
        return True
    return one.partition(".")[0] != other.partition(".")[0]
