"""The entries of an inventory in compact form: some 150 bytes of memory for a device.

An inventory may have a million devices, of which a capture shows a few, so an entry is stored as
bytes and becomes an object again when it is asked for. It is found by its id, MAC, IP addresses
and, where it has none of the latter two, the first label of its host name.
"""

import hashlib
import marshal
from array import array
from collections.abc import Iterable, Iterator

from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.dataclass import dataclass
from netwatch.core.verdict import DeviceClass
from netwatch.inventory.row_index import RowIndex


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the inventory. `id` is the one that is written, else the first of MAC, IP address
    and host name. MAC (6 bytes) and addresses (4 or 16 bytes) are packed."""

    id: str
    mac: bytes | None
    ips: tuple[bytes, ...]
    hostname: str | None
    owner: str | None
    device_class: DeviceClass | None
    line: int


Fields = tuple[
    str, bytes | None, tuple[bytes, ...], str | None, str | None, DeviceClass | None, int
]
"""The fields of an `Entry`, in their order."""

_FORMAT = 2
"""The version of marshal's format: from 3 on it depends on how often an object is referred to."""


class EntryTable:
    """The entries of an inventory, in the order in which they were added.

    `expected` is the number of entries that are expected; more are fine.
    """

    def __init__(self, entries: Iterable[Entry] = (), expected: int = 0) -> None:
        self._stored = bytearray()
        self._ends = array("Q", [0])
        self._by_id = RowIndex(self._has_id, expected)
        self._by_mac = RowIndex(self._has_mac, expected)
        self._by_ip = RowIndex(self._has_ip, expected)
        # The last row of each label; every row of a host name alone has the one before it.
        self._by_label = RowIndex(self._has_label)
        self._before: dict[int, int] = {}
        for entry in entries:
            self.add(_fields_of(entry))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, row: int) -> Entry:
        return Entry(*self._load(range(len(self))[row]))

    def __iter__(self) -> Iterator[Entry]:
        return (Entry(*self._load(row)) for row in range(len(self)))

    def _load(self, row: int) -> Fields:
        ends = self._ends
        fields: Fields = marshal.loads(memoryview(self._stored)[ends[row] : ends[row + 1]])
        return fields

    def _has_id(self, row: int, key: bytes) -> bool:
        return _encoded(self._load(row)[0]) == key

    def _has_mac(self, row: int, key: bytes) -> bool:
        return self._load(row)[1] == key

    def _has_ip(self, row: int, key: bytes) -> bool:
        return key in self._load(row)[2]

    def _has_label(self, row: int, key: bytes) -> bool:
        return _label(self._load(row)[3] or "") == key

    def add(self, fields: Fields) -> list[tuple[str, int]]:
        """Add an entry, given as its fields.

        The result is what an earlier entry has too, in words, with the row of that entry. By this
        the earlier one is still found.
        """
        row = len(self._ends) - 1
        self._stored += marshal.dumps(fields, _FORMAT)
        self._ends.append(len(self._stored))
        identity, mac, ips, hostname = fields[:4]
        duplicates = []
        earlier = self._by_id.add(_encoded(identity), row)
        if earlier is not None:
            duplicates.append((f"id '{identity}'", earlier))
        if mac and (earlier := self._by_mac.add(mac, row)) is not None:
            duplicates.append((f"MAC '{mac_text(mac)}'", earlier))
        for ip in ips:
            earlier = self._by_ip.add(ip, row)
            if earlier is not None and earlier != row:
                duplicates.append((f"IP '{ip_text(ip)}'", earlier))
        if hostname and not mac and not ips:
            earlier = self._by_label.replace(_label(hostname), row)
            if earlier is not None:
                self._before[row] = earlier
        return duplicates

    def with_id(self, identity: str) -> Entry | None:
        """The entry with this id, or None."""
        return self._entry(self._by_id.find(_encoded(identity)))

    def with_mac(self, mac: bytes) -> Entry | None:
        """The entry with this packed MAC, or None."""
        return self._entry(self._by_mac.find(mac))

    def with_ip(self, ip: bytes) -> Entry | None:
        """The entry with this packed address, or None."""
        return self._entry(self._by_ip.find(ip))

    def with_label(self, label: str) -> list[Entry]:
        """The entries that have a host name alone, whose first label is this one, in order."""
        found = []
        row = self._by_label.find(_encoded(label))
        while row is not None:
            found.append(self[row])
            row = self._before.get(row)
        return found[::-1]

    def _entry(self, row: int | None) -> Entry | None:
        return None if row is None else self[row]

    def digest(self) -> str:
        """A hash of all entries, which changes with any of them."""
        return hashlib.sha256(self._stored).hexdigest()


def _fields_of(entry: Entry) -> Fields:
    device_class, line = entry.device_class, entry.line
    return entry.id, entry.mac, entry.ips, entry.hostname, entry.owner, device_class, line


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _label(hostname: str) -> bytes:
    return _encoded(hostname.partition(".")[0])
