"""Finds all rows of a large table by a key that several rows may have, in 20 to 36 bytes a row.

An index has the last row of each key, and every row the one before it with the same key.
"""

from array import array
from collections.abc import Callable, Iterator

from netwatch.inventory.row_index import RowIndex

_NONE = -1


class RowChains:
    """The rows of each key. `has_key` says whether a row of the table has a key, `rows` is the
    number of rows that are expected. Rows are added in rising order."""

    __slots__ = ("_before", "_index")

    def __init__(self, has_key: Callable[[int, bytes], bool], rows: int = 0) -> None:
        self._index = RowIndex(has_key, rows)
        # Only as long as the last row that shares its key.
        self._before = array("i")

    def add(self, key: bytes, row: int) -> None:
        """Let `row` have this key, too."""
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
        """The rows of each key that several rows have, in rising order."""
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
