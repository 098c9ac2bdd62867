# cython: language_level=3, boundscheck=True, wraparound=False
"""A table of what is known of conversations, by their addresses and ports: entries that are found
without an object for each key, and the oldest first.

The hash of a key is the same for both directions, so that it is made once for a record. Nobody can
choose keys that collide: it is derived from Python's hash of the addresses, which is randomised for
each process.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.flow_export.records import FlowRecord
else:
    from netwatch.flow_export.records import FlowRecord

from netwatch.core.buffers import Words, array

LEAST_SLOTS = 256
"""Slots of an empty table. There are always at least twice as many as entries in line."""

_LEAST = cython.declare(cython.Py_ssize_t, LEAST_SLOTS)
_PLACE = cython.declare(cython.longlong, 0xFFFFFFFF)
_FULL = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)
_ODD = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)
_OTHER_ODD = cython.declare(cython.ulonglong, 0xBF58476D1CE4E5B9)


@cython.final
@cython.no_gc
@cython.cclass
class Entry:
    """What a table has under the source, the destination and the `ports` (with the protocol) of a
    record: the record, which waits since it came (`ended`), or the number of a conversation and
    when it ended."""

    def __init__(self) -> None:
        self.hash = self.ports = 0
        self.source = self.destination = b""
        self.record: FlowRecord = None  # type: ignore[assignment]
        self.number = self.ended = self.at = 0


def entry_of(
    hash_: cython.ulonglong, source: bytes, destination: bytes, ports: cython.longlong
) -> Entry:
    """An entry for a key, which is in no table yet."""
    entry: Entry = Entry.__new__(Entry)
    entry.hash, entry.ports = hash_, ports
    entry.source, entry.destination = source, destination
    entry.record = None  # type: ignore[assignment]
    entry.number = entry.ended = entry.at = 0
    return entry


@cython.final
@cython.cclass
class PairTable:
    """Entries by their keys, and in the order in which they came. `count` are in it. What is gone
    leaves a gap in the line until there is no room for another entry."""

    def __init__(self) -> None:
        self.count = self.begin = 0
        self.line: list[Entry | None] = []
        # The place of an entry in the line, from 1, behind bits of its hash, which spare a look at
        # most of the others; 0 where there is none.
        self.slots: Words = array("q", bytes(8 * _LEAST))
        self.mask = _LEAST - 1

    def get(
        self, hash_: cython.ulonglong, source: bytes, destination: bytes, ports: cython.longlong
    ) -> Entry | None:
        """The entry of a key, or None. `hash_` is its `pair_hash`."""
        entry: Entry | None
        slot: cython.Py_ssize_t = hash_ & self.mask
        bits: cython.longlong = hash_ >> 33
        while self.slots[slot]:
            entry = None
            if self.slots[slot] >> 32 == bits:
                entry = self.line[(self.slots[slot] & _PLACE) - 1]
            if (
                entry is not None
                and entry.hash == hash_
                and entry.ports == ports
                and entry.source == source
                and entry.destination == destination
            ):
                return entry
            slot = (slot + 1) & self.mask
        return None

    def put(self, entry: Entry) -> cython.void:
        """Add an entry, under whose key there is none."""
        if 2 * len(self.line) > self.mask:
            self.close_up()
        self.line.append(entry)
        self.enter(entry, len(self.line))
        self.count += 1

    def drop(self, entry: Entry) -> cython.void:
        """Remove an entry."""
        self.line[entry.at - 1] = None
        self.count -= 1

    def oldest(self) -> Entry | None:
        """The entry that came first."""
        entry: Entry | None
        while self.begin < len(self.line):
            entry = self.line[self.begin]
            if entry is not None:
                return entry
            self.begin += 1
        return None

    def enter(self, entry: Entry, place: cython.Py_ssize_t) -> cython.void:
        """Let a slot lead to an entry that is at a place of the line."""
        slot: cython.Py_ssize_t = entry.hash & self.mask
        while self.slots[slot]:
            slot = (slot + 1) & self.mask
        bits: cython.longlong = entry.hash >> 33
        entry.at, self.slots[slot] = place, bits << 32 | place

    def close_up(self) -> cython.void:
        """Close the gaps in the line, with room for as many entries more as there are."""
        entry: Entry | None
        left: list[Entry | None] = []
        size: cython.Py_ssize_t = _LEAST
        while size < 4 * self.count:
            size *= 2
        self.slots, self.mask = array("q", bytes(8 * size)), size - 1
        for entry in self.line:
            if entry is not None:
                left.append(entry)
                self.enter(entry, len(left))
        self.line, self.begin = left, 0


def pair_hash(record: FlowRecord) -> cython.ulonglong:
    """The hash of a record's addresses, ports and protocol, whichever of the two sides sent it."""
    return mixed(
        side_hash(record.source, record.source_port)
        + side_hash(record.destination, record.destination_port)
        + record.protocol
        & _FULL
    )


def side_hash(address: bytes, port: cython.ulonglong) -> cython.ulonglong:
    """The hash of an address and a port."""
    return mixed((cython.cast(cython.ulonglong, hash(address)) + port * _ODD) & _FULL)


def mixed(value: cython.ulonglong) -> cython.ulonglong:
    """Other 64 bits for each 64 bits, which all depend on all of them."""
    value = (value ^ value >> 32) * _ODD & _FULL
    value = (value ^ value >> 29) * _OTHER_ODD & _FULL
    return value ^ value >> 32
