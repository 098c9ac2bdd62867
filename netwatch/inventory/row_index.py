"""Finds the rows of a large table by a key, in 16 to 36 bytes of memory a row.

A hash table with open addressing in one array. It has no keys, only their checksums: the table
tells whether a row has a key. A dictionary with the keys would take some 120 bytes per row, and an
inventory of a million devices needs three. If several rows may have a key, an index has the last
row of each, and every row has the previous one with the same key.
"""

from array import array
from collections.abc import Callable, Iterator
from zlib import crc32

_MIN_SLOTS = 64
_CHECKSUM = 0xFFFF_FFFF

_NONE = -1


class RowIndex:
    """An index of rows by keys of bytes; each key has one row.

    `has_key` tells whether a row of the table has a key. `rows` is the expected number of rows; the
    index grows if there are more.
    """

    __slots__ = ("_has_key", "_mask", "_slots", "_spare")

    def __init__(self, has_key: Callable[[int, bytes], bool], rows: int = 0) -> None:
        self._has_key = has_key
        self._allocate(max(_MIN_SLOTS, 1 << (2 * rows).bit_length()))

    def _allocate(self, slots: int) -> None:
        # A slot is 0 if it is empty, otherwise the row + 1, and below it the checksum of the key.
        self._slots = array("Q", bytes(8 * slots))
        self._mask = slots - 1
        self._spare = slots // 2

    def _place(self, key: bytes, checksum: int) -> int:
        """The slot of a key, or the empty one where it belongs."""
        slots, mask = self._slots, self._mask
        at = checksum & mask
        while value := slots[at]:
            if value & _CHECKSUM == checksum and self._has_key((value >> 32) - 1, key):
                break
            at = at + 1 & mask
        return at

    def find(self, key: bytes) -> int | None:
        """The row that has this key, or None."""
        value = self._slots[self._place(key, crc32(key))]
        return (value >> 32) - 1 if value else None

    def put(self, key: bytes, row: int) -> int | None:
        """Assign this key to `row`; returns the row that had it before, or None."""
        checksum = crc32(key)
        at = self._place(key, checksum)
        value = self._slots[at]
        self._slots[at] = row + 1 << 32 | checksum
        if value:
            return (value >> 32) - 1
        self._spare -= 1
        if not self._spare:
            self._grow()
        return None

    def _grow(self) -> None:
        before = self._slots
        self._allocate(2 * len(before))
        slots, mask = self._slots, self._mask
        for value in filter(None, before):
            at = value & mask
            while slots[at]:
                at = at + 1 & mask
            slots[at] = value
            self._spare -= 1


class RowChains:
    """The rows of each key. `has_key` tells whether a row of the table has a key, `rows` is the
    expected number of rows. Rows are added in ascending order."""

    __slots__ = ("_before", "_index")

    def __init__(self, has_key: Callable[[int, bytes], bool], rows: int = 0) -> None:
        self._index = RowIndex(has_key, rows)
        # Only as long as the last row that shares its key.
        self._before = array("i")

    def add(self, key: bytes, row: int) -> None:
        """Also assign this key to `row`."""
        earlier = self._index.put(key, row)
        if earlier is not None:
            self._before.extend([_NONE] * (row + 1 - len(self._before)))
            self._before[row] = earlier

    def rows(self, key: bytes) -> Iterator[int]:
        """The rows that have a key, the last one first."""
        row = self._index.find(key)
        return iter(()) if row is None else self._from(row)

    def last(self, key: bytes) -> int | None:
        """The last row that has a key, or None."""
        return self._index.find(key)

    def shared(self) -> Iterator[list[int]]:
        """The rows of each key that several rows have, in ascending order."""
        before = self._before
        has_later = bytearray(len(before))
        for row in filter(_NONE.__ne__, before):
            has_later[row : row + 1] = b"\1"
        for row, earlier in enumerate(before):
            if earlier != _NONE and not has_later[row]:
                yield sorted(self._from(row))

    def _from(self, row: int) -> Iterator[int]:
        before = self._before
        while True:
            yield row
            if row >= len(before) or before[row] == _NONE:
                return
            row = before[row]
