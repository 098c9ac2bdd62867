"""Leases that a DHCP server wrote to its lease file: which device had an address, and when.

The files are logs: a renewal, a release or a lease to another client is a further declaration of
the same address, and the later one counts. `LeaseRecorder` turns the declarations of a file into
periods, and `LeaseTable` finds the device of an address at a time. All times are in ns since the
epoch. The readers of lease files share the errors, and DUIDs.
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from netwatch.core.addresses import mac_text
from netwatch.core.errors import NetwatchError
from netwatch.core.verdict import Binding, BindingPeriod

LEASE_LIMIT = 500_000
"""Periods of all lease files together, at most."""

NEVER = (1 << 63) - 1
"""The end of a lease that does not expire, and the largest time there is, in ns."""

SECOND = 1_000_000_000
"""A second in ns."""

_ETHERNET = b"\0\1"
_HARDWARE_AT = {b"\0\1": 8, b"\0\3": 4}  # DUID-LLT and DUID-LL (RFC 8415 section 11)


class Declaration(NamedTuple):
    """A declaration in a lease file: an address was leased to `mac` from `since` up to, but
    without, `until`. The client called itself `hostname`. If `mac` is None, nobody has the address
    from `since` on. `line` is where it is written."""

    ip: bytes
    mac: bytes | None
    since: int
    until: int
    hostname: str
    line: int


class Lease(NamedTuple):
    """A period in which one device had one address; `source` is the format of the lease file, and
    `line` where `file` declares it last."""

    ip: bytes
    mac: bytes
    since: int
    until: int
    hostname: str
    source: str
    file: str = ""
    line: int = 0


class LeaseRecorder:
    """The periods of a lease file, from its declarations in their order; `source` is its format,
    and `file` its path. A log may begin in other files, which come first."""

    def __init__(self, source: str, file: str = "") -> None:
        self._source, self._file = source, file
        self._periods: dict[bytes, list[Lease]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def begin_file(self, file: str) -> None:
        """Declarations added from now on belong to this file."""
        self._file = file

    def add(self, declared: Declaration) -> None:
        """Add a declaration. From its start on it supersedes the last one of the same address; a
        renewal prolongs the period of its device."""
        periods = self._periods.setdefault(declared.ip, [])
        last = periods[-1] if periods else None
        if last is not None and last.mac == declared.mac and declared.since <= last.until:
            hostname = declared.hostname or last.hostname
            since = min(last.since, declared.since)
            periods[-1] = last._replace(
                since=since,
                until=declared.until,
                hostname=hostname,
                file=self._file,
                line=declared.line,
            )
        else:
            if last is not None and declared.since < last.until:
                periods[-1] = last._replace(until=declared.since)
                self._drop_empty(periods)
            if declared.mac is not None:
                period = declared.since, declared.until, declared.hostname, self._source
                periods.append(Lease(declared.ip, declared.mac, *period, self._file, declared.line))
                self._count += 1
        self._drop_empty(periods)

    def _drop_empty(self, periods: list[Lease]) -> None:
        if periods and periods[-1].until <= periods[-1].since:
            periods.pop()
            self._count -= 1

    def leases(self) -> Iterable[Lease]:
        """The periods of all addresses."""
        return (lease for periods in self._periods.values() for lease in periods)


class LeaseTable:
    """The leases of all lease files, found by address and by MAC."""

    def __init__(self, leases: Iterable[Lease] = ()) -> None:
        self._by_ip: dict[bytes, list[Lease]] = {}
        self._by_mac: dict[bytes, list[Lease]] = {}
        self._count = 0
        for lease in leases:
            self._by_ip.setdefault(lease.ip, []).append(lease)
            self._by_mac.setdefault(lease.mac, []).append(lease)
            self._count += 1

    def __len__(self) -> int:
        return self._count

    def addresses(self) -> Iterable[bytes]:
        """The packed addresses that were leased at any time."""
        return self._by_ip

    def has_address(self, ip: bytes) -> bool:
        """Whether an address was leased at any time."""
        return ip in self._by_ip

    def leases_of(self, ip: bytes) -> list[Lease]:
        """All leases of a packed address."""
        return self._by_ip.get(ip, [])

    def address_of(self, mac: bytes, time: int) -> bytes | None:
        """The packed address that a MAC has by a lease at a time, an IPv4 one first; None if it has
        none."""
        active = [each.ip for each in self._by_mac.get(mac, ()) if each.since <= time < each.until]
        return min(active, key=lambda ip: (len(ip), ip), default=None)

    def binding_at(self, ip: bytes, mac: bytes | None, time: int) -> Binding | None:
        """The device that had an address at a time; None if there was no lease. `mac` is from the
        frame of a contact."""
        leases = self._by_ip.get(ip)
        if leases is None:
            return None
        active = [each for each in leases if each.since <= time < each.until]
        if not active:
            return None
        lease = active[-1]
        macs = {each.mac for each in active}
        if len(macs) > 1:
            return Binding(None, None, None, "address", tuple(sorted(macs)))
        # Behind a router every frame has the router's MAC, but a MAC with a lease for another
        # address is a client's.
        is_other = mac is not None and mac != lease.mac and self._is_client(mac, time)
        return Binding(
            mac_text(lease.mac),
            lease.mac,
            lease.hostname or None,
            "frame" if is_other else None,
            period=BindingPeriod(
                lease.source,
                lease.since or None,
                None if lease.until == NEVER else lease.until,
                lease.file,
                lease.line,
            ),
        )

    def digest(self) -> str:
        """A hash of all leases, which changes with any of them, but neither with their order nor
        with where they are written."""
        content = hashlib.sha256()
        for leases in sorted(self._by_ip.items()):
            for lease in sorted(leases[1]):
                content.update(repr(lease[:6]).encode("utf-8", "surrogatepass"))
        return content.hexdigest()

    def is_same_device(self, ip: bytes, first: int, second: int) -> bool:
        """Whether no lease says that an address changed its device between two times."""
        before, after = self.binding_at(ip, None, first), self.binding_at(ip, None, second)
        return before is None or after is None or before.mac == after.mac

    def _is_client(self, mac: bytes, time: int) -> bool:
        return any(lease.since <= time < lease.until for lease in self._by_mac.get(mac, ()))


class LeaseSyntaxError(NetwatchError):
    """A line of a lease file cannot be read; the text says what was expected and found."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def mac_of_duid(duid: bytes) -> bytes | None:
    """The MAC in a DUID made from an Ethernet address; None if there is none."""
    at = _HARDWARE_AT.get(duid[:2])
    if at is None or duid[2:4] != _ETHERNET or len(duid) != at + 6:
        return None
    return duid[at:]


def bytes_of_hex(text: str) -> bytes:
    """The bytes of hexadecimal digits with colons between them; empty if invalid."""
    try:
        return bytes.fromhex(text.replace(":", ""))
    except ValueError:
        return b""
