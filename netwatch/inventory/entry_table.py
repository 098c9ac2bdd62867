"""The entries of an inventory in compact form: some 170 bytes of memory for a device.

An inventory may have a million devices, of which a capture shows a few, so an entry is stored as
bytes and only becomes an object on access. It is found by its id, MAC, IP addresses and, if it has
neither of the latter two, the first label of its host name.

Each entry is valid in a period. Several may have the same id, MAC or address as long as their
periods do not overlap, and the result depends on the time.
"""

import hashlib
import marshal
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.verdict import BEGINNING, FOREVER, DeviceClass
from netwatch.inventory.row_index import RowChains


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the inventory. `id` is the written one, otherwise the first of MAC, IP address and
    host name. MAC (6 bytes) and addresses (4 or 16 bytes) are packed. It is valid from `since` up
    to, but without, `until` (ns); None means no limit. `line` is its line in `file`. `other_macs`
    belong to its further interfaces."""

    id: str
    mac: bytes | None
    ips: tuple[bytes, ...]
    hostname: str | None
    owner: str | None
    device_class: DeviceClass | None
    line: int
    since: int | None = None
    until: int | None = None
    file: str = ""
    other_macs: tuple[bytes, ...] = ()

    @property
    def macs(self) -> tuple[bytes, ...]:
        """All MACs of the device."""
        return self.other_macs if self.mac is None else (self.mac, *self.other_macs)

    def has_mac(self, mac: bytes | None) -> bool:
        """Whether this is a MAC of the device."""
        return mac is not None and (mac == self.mac or mac in self.other_macs)


Fields = tuple[
    str, bytes | None, tuple[bytes, ...], str | None, str | None, DeviceClass | None, int
]
"""The fields of an `Entry` up to its line, in their order; for several MACs the bytes are one after
the other."""

_MAC_BYTES = 6

_FORMAT = 2
"""The version of marshal's format: from 3 on it depends on how often an object is referenced."""


class Span:
    """The time in which an answer holds: from `since` up to, but without, `until` (ns)."""

    __slots__ = ("since", "until")

    def __init__(self) -> None:
        self.since, self.until = BEGINNING, FOREVER

    def narrow(self, since: int, until: int) -> None:
        """The answer only holds in this time, too."""
        self.since, self.until = max(self.since, since), min(self.until, until)


class EntryTable:
    """The entries of an inventory, in the order in which they were added.

    `expected` is the expected number of entries; more are fine.
    """

    def __init__(self, entries: Iterable[Entry] = (), expected: int = 0) -> None:
        self._stored = bytearray()
        self._ends = array("Q", [0])
        self._since, self._until = array("q"), array("q")
        self._by_id = RowChains(self._has_id, expected)
        # MACs and addresses of all entries by their number, since an entry may have several.
        self._mac_rows = array("I")
        self._by_mac = RowChains(self._has_mac, expected)
        self._address_rows = array("I")
        self._by_ip = RowChains(self._has_ip, expected)
        self._by_label = RowChains(self._has_label)
        self._files: list[str] = []
        self._file_starts = array("I")
        self.has_periods = False
        for entry in entries:
            if entry.file != (self._files[-1] if self._files else ""):
                self.begin_file(entry.file)
            macs = b"".join(entry.macs) or None
            fields = entry.id, macs, entry.ips, entry.hostname, entry.owner
            since = BEGINNING if entry.since is None else entry.since
            until = FOREVER if entry.until is None else entry.until
            self.add((*fields, entry.device_class, entry.line), since, until)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, row: int) -> Entry:
        row = range(len(self))[row]
        since, until = self._since[row], self._until[row]
        fields = self._load(row)
        macs = split_macs(fields[1])
        return Entry(
            fields[0],
            macs[0] if macs else None,
            *fields[2:],
            None if since == BEGINNING else since,
            None if until == FOREVER else until,
            self.file_of(row),
            tuple(macs[1:]),
        )

    def __iter__(self) -> Iterator[Entry]:
        return (self[row] for row in range(len(self)))

    @property
    def files(self) -> list[str]:
        """The files of the entries, in order."""
        return self._files

    def file_of(self, row: int) -> str:
        """The file with an entry; empty if unknown."""
        place = bisect_right(self._file_starts, row)
        return self._files[place - 1] if place else ""

    def line_of(self, row: int) -> int:
        """The line with an entry."""
        return self._load(row)[6]

    def period_of(self, row: int) -> tuple[int, int]:
        """Since when and until when (ns) an entry is valid; `BEGINNING` and `FOREVER` if there
        is no limit."""
        return self._since[row], self._until[row]

    def _load(self, row: int) -> Fields:
        ends = self._ends
        fields: Fields = marshal.loads(memoryview(self._stored)[ends[row] : ends[row + 1]])
        return fields

    def _has_id(self, row: int, key: bytes) -> bool:
        return _encoded(self._load(row)[0]) == key

    def _has_mac(self, number: int, key: bytes) -> bool:
        return self._mac_of(number) == key

    def _has_ip(self, number: int, key: bytes) -> bool:
        return self._ip_of(number) == key

    def _has_label(self, row: int, key: bytes) -> bool:
        return _label(self._load(row)[3] or "") == key

    def begin_file(self, name: str) -> None:
        """Entries added from now on belong to this file."""
        self._files.append(name)
        self._file_starts.append(len(self))

    def add(self, fields: Fields, since: int = BEGINNING, until: int = FOREVER) -> None:
        """Add an entry, given as its fields, that is valid from `since` up to `until` (ns).

        If a device's last entry has the same content and its period ends where this one begins, it
        is prolonged instead.
        """
        identity, macs, ips, hostname = fields[:4]
        key = _encoded(identity)
        if since != BEGINNING or until != FOREVER:
            self.has_periods = True
            last = self._by_id.last(key)
            if (
                last is not None
                and self._until[last] == since
                and (self._load(last)[:6] == fields[:6])
            ):
                self._until[last] = until
                return
        row = len(self._since)
        self._stored += marshal.dumps(fields, _FORMAT)
        self._ends.append(len(self._stored))
        self._since.append(since)
        self._until.append(until)
        self._by_id.add(key, row)
        for mac in split_macs(macs):
            self._by_mac.add(mac, len(self._mac_rows))
            self._mac_rows.append(row)
        for ip in ips:
            self._by_ip.add(ip, len(self._address_rows))
            self._address_rows.append(row)
        if hostname and not macs and not ips:
            self._by_label.add(_label(hostname), row)

    def duplicates(self) -> Iterator[tuple[str, int, int]]:
        """The conflicts between two entries that are valid at the same time, in words, with the
        later and the earlier row. Each row is compared with one other at most."""
        for rows in self._by_id.shared():
            for row, earlier in self._overlapping(rows):
                yield f"id '{self._load(row)[0]}'", row, earlier
        for numbers in self._by_mac.shared():
            mac = self._mac_of(numbers[0])
            for row, earlier in self._overlapping([self._mac_rows[n] for n in numbers]):
                yield f"MAC '{mac_text(mac)}'", row, earlier
        for numbers in self._by_ip.shared():
            ip = self._ip_of(numbers[0])
            for row, earlier in self._overlapping([self._address_rows[n] for n in numbers]):
                yield f"IP '{ip_text(ip)}'", row, earlier

    def _mac_of(self, number: int) -> bytes:
        row = self._mac_rows[number]
        at = _MAC_BYTES * (number - bisect_left(self._mac_rows, row))
        return (self._load(row)[1] or b"")[at : at + _MAC_BYTES]

    def _ip_of(self, number: int) -> bytes:
        row = self._address_rows[number]
        return self._load(row)[2][number - bisect_left(self._address_rows, row)]

    def _overlapping(self, rows: list[int]) -> Iterator[tuple[int, int]]:
        """Rows that share a key and whose periods overlap, each with another that it overlaps."""
        longest: int | None = None
        for row in sorted(rows, key=lambda row: (self._since[row], row)):
            if longest is not None and self._since[row] < self._until[longest]:
                yield max(row, longest), min(row, longest)
            if longest is None or self._until[row] > self._until[longest]:
                longest = row

    def with_id(self, identity: str, time: int | None = None) -> Entry | None:
        """The entry with this id at a time (ns), or None; without a time, the last one."""
        return self._entry(self._by_id.rows(_encoded(identity)), time, None)

    def with_mac(
        self, mac: bytes, time: int | None = None, span: Span | None = None
    ) -> Entry | None:
        """The entry with this packed MAC at a time (ns), or None. `span` is narrowed to the time in
        which this is the answer."""
        return self._entry(map(self._mac_rows.__getitem__, self._by_mac.rows(mac)), time, span)

    def with_ip(self, ip: bytes, time: int | None = None, span: Span | None = None) -> Entry | None:
        """The same for a packed address."""
        numbers = self._by_ip.rows(ip)
        return self._entry(map(self._address_rows.__getitem__, numbers), time, span)

    def with_label(self, label: str, time: int, span: Span | None = None) -> list[Entry]:
        """The entries with only a host name whose first label is this one, in order."""
        found = []
        for row in self._by_label.rows(_encoded(label)):
            entry = self._entry(iter((row,)), time, span)
            if entry is not None:
                found.append(entry)
        return found[::-1]

    def at_any_time(self, ip: bytes, mac: bytes | None) -> list[Entry]:
        """All entries with this packed address (empty: none has it) or MAC, whenever they are
        valid, in order."""
        rows = {self._address_rows[number] for number in self._by_ip.rows(ip)} if ip else set()
        rows |= {self._mac_rows[number] for number in self._by_mac.rows(mac)} if mac else set()
        return [self[row] for row in sorted(rows)]

    def labelled(self, label: str) -> list[Entry]:
        """All entries with only a host name whose first label is this one."""
        return [self[row] for row in self._by_label.rows(_encoded(label))]

    def is_dated(self, ip: bytes, mac: bytes | None) -> bool:
        """Whether an entry with this address or MAC has a limited period."""
        if not self.has_periods:
            return False
        span = Span()
        self.with_ip(ip, 0, span)
        if mac:
            self.with_mac(mac, 0, span)
        return (span.since, span.until) != (BEGINNING, FOREVER)

    def _entry(self, rows: Iterator[int], time: int | None, span: Span | None) -> Entry | None:
        for row in rows:
            since, until = self._since[row], self._until[row]
            if time is None or since <= time < until:
                if span is not None:
                    span.narrow(since, until)
                return self[row]
            if span is not None:
                span.narrow(*((until, FOREVER) if until <= time else (BEGINNING, since)))
        return None

    def count_at(self, time: int) -> int:
        """How many entries are valid at a time (ns)."""
        if not self.has_periods:
            return len(self)
        periods = zip(self._since, self._until, strict=True)
        return sum(since <= time < until for since, until in periods)

    def digest(self) -> str:
        """A hash of all entries and their periods, which changes with any of them."""
        content = hashlib.sha256(self._stored)
        if self.has_periods:
            content.update(self._since.tobytes())
            content.update(self._until.tobytes())
        return content.hexdigest()


def split_macs(macs: bytes | None) -> list[bytes]:
    """The MACs of a field."""
    packed = macs or b""
    return [packed[at : at + _MAC_BYTES] for at in range(0, len(packed), _MAC_BYTES)]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _label(hostname: str) -> bytes:
    return _encoded(hostname.partition(".")[0])
