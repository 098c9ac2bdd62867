# cython: language_level=3, boundscheck=True, wraparound=False
"""Counts of ended flows, by client and visibility, without an object for each flow.

A cell counts the flows of one client with one visibility, and may list when they began. The table
has a fixed number of cells; the caller empties it when it is full.
"""

from array import array
from collections.abc import Iterator, Sequence

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.flows.address_tables import mixed
else:
    from netwatch.dissect.flows.address_tables import mixed

from netwatch.core.buffers import Words, zeroed

WORDS = cython.declare(cython.Py_ssize_t, 8)
"""Words of a cell: the client's family, VLAN and visibility, its MAC, its address (four), the
number of flows, and the last entry of its list of times plus 1."""

Cell = tuple[int, int, tuple[int, ...], int, list[int]]
"""The content of a cell: the word of the client's family, VLAN and visibility, the word of its MAC,
the words of its address, the number of flows, and the known times."""


@cython.final
@cython.cclass
class FlowCounts:
    """Counts in up to `cells` cells (a power of two), with up to `times` times.

    `salt` (63 bits) varies the hashes, so that clients cannot be chosen to collide. `flows` counts
    the flows since the last `take`.
    """

    def __init__(self, cells: int, times: int, salt: int) -> None:
        self.cell_store, self.time_store = zeroed("q", WORDS * cells), zeroed("q", 2 * times)
        self.cells: Words = self.cell_store
        self.times: Words = self.time_store
        # Twice as many places as cells, each with the number of its cell plus 1.
        self.index: Words = zeroed("q", 2 * cells)
        self.cell_limit = cells
        self.time_limit = times
        self.salt = salt
        self.used = 0
        self.times_used = 0
        self.flows = 0

    def is_full(self) -> cython.bint:
        """Whether there may be no room for the next flow."""
        return self.used >= self.cell_limit or self.times_used >= self.time_limit

    def add(
        self,
        about: cython.longlong,
        mac: cython.longlong,
        a: cython.longlong,
        b: cython.longlong,
        c: cython.longlong,
        d: cython.longlong,
        time: cython.longlong,
    ) -> cython.void:
        """Count a client's flow, which began at `time` (ns; -1 if that does not matter). The table
        must not be full."""
        mask: cython.ulonglong = 2 * self.cell_limit - 1
        place: cython.ulonglong = self.hash_of(about, mac, a, b, c, d) & mask
        at: cython.Py_ssize_t
        entry: cython.Py_ssize_t
        while True:
            at = (self.index[place] - 1) * WORDS
            if at < 0:
                self.index[place] = self.used + 1
                at = self.used * WORDS
                self.used += 1
                self.cells[at] = about
                self.cells[at + 1] = mac
                self.cells[at + 2] = a
                self.cells[at + 3] = b
                self.cells[at + 4] = c
                self.cells[at + 5] = d
                self.cells[at + 6] = 0
                self.cells[at + 7] = 0
                break
            if (
                self.cells[at] == about
                and self.cells[at + 1] == mac
                and self.cells[at + 2] == a
                and self.cells[at + 3] == b
                and self.cells[at + 4] == c
                and self.cells[at + 5] == d
            ):
                break
            place = (place + 1) & mask
        self.cells[at + 6] += 1
        self.flows += 1
        if time >= 0:
            entry = 2 * self.times_used
            self.times[entry] = time
            self.times[entry + 1] = self.cells[at + 7]
            self.times_used += 1
            self.cells[at + 7] = self.times_used

    def hash_of(
        self,
        about: cython.longlong,
        mac: cython.longlong,
        a: cython.longlong,
        b: cython.longlong,
        c: cython.longlong,
        d: cython.longlong,
    ) -> cython.ulonglong:
        """The hash of a cell."""
        hash_: cython.ulonglong = mixed(mixed(self.salt, about, 0, 0, 0), mac, 0, 0, 0)
        return mixed(hash_, a, b, c, d) >> 29

    def take(self) -> Iterator[Cell]:
        """The cells in the order of their first use; they are empty afterwards."""
        mask: cython.ulonglong = 2 * self.cell_limit - 1
        place: cython.ulonglong
        at: cython.Py_ssize_t
        number: cython.longlong
        words, times = array("q"), array("q")
        words.frombytes(self.cell_store[: self.used * WORDS].cast("B"))
        times.frombytes(self.time_store[: 2 * self.times_used].cast("B"))
        # Only used cells are cleared: the rest of the memory was never touched.
        for number in range(self.used):
            at = number * WORDS
            place = (
                self.hash_of(
                    self.cells[at],
                    self.cells[at + 1],
                    self.cells[at + 2],
                    self.cells[at + 3],
                    self.cells[at + 4],
                    self.cells[at + 5],
                )
                & mask
            )
            while self.index[place] != number + 1:
                place = (place + 1) & mask
            self.index[place] = 0
        self.used = self.times_used = self.flows = 0
        return _cells(words, times)


def _cells(words: Sequence[int], times: Sequence[int]) -> Iterator[Cell]:
    for at in range(0, len(words), WORDS):
        cell = tuple(words[at : at + WORDS])
        began: list[int] = []
        entry = cell[7]
        while entry:
            began.append(times[2 * entry - 2])
            entry = times[2 * entry - 1]
        began.reverse()
        yield cell[0], cell[1], cell[2:6], cell[6], began
