# cython: language_level=3, boundscheck=True, wraparound=False
"""The desk: hellos in pieces that may turn out to be of no interest.

With a post-quantum key share a ClientHello takes two packets. Each entry here is one such
hello: its bytes as far as they came, and copies of the packets that brought them. When it
is whole it is either of no interest and dropped, or its packets leave the packet loop as
rows, as if they came now; so they do where anything is unusual, where there are too many,
and where the rest does not come. Entries that left stay as they are until whoever reads
the rows is through with them.
"""

from array import array

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.octets import copy
else:
    from netwatch.dissect.loop.octets import copy

MAX_HELLOS = cython.declare(cython.Py_ssize_t, 128)
"""Hellos in pieces that are kept."""
MAX_PIECES = cython.declare(cython.Py_ssize_t, 4)
"""Packets of one of them."""
MAX_PACKET = cython.declare(cython.Py_ssize_t, 2048)
"""Bytes of one of these, as it was captured."""
MAX_HELLO = cython.declare(cython.Py_ssize_t, 4096)
"""Bytes of the hello."""
MAX_SPANS = cython.declare(cython.Py_ssize_t, 32)
"""Parts that it came in, of which a packet may hold several."""

WIDTH = cython.declare(cython.Py_ssize_t, 8)
ROW = cython.declare(cython.Py_ssize_t, 24)

# An entry: the flow as rows name it (0: none), the side that sends, the number of its
# first byte, the time of its first packet, how many spans and packets, how many bytes they
# are, and where the last of them ends. A row is that of the loop with more behind it
# (`netwatch.dissect.loop.candidates`).
FLOW = cython.declare(cython.Py_ssize_t, 0)
SIDE = cython.declare(cython.Py_ssize_t, 1)
BASE = cython.declare(cython.Py_ssize_t, 2)
TIME = cython.declare(cython.Py_ssize_t, 3)
SPANS = cython.declare(cython.Py_ssize_t, 4)
PIECES = cython.declare(cython.Py_ssize_t, 5)
HAVE = cython.declare(cython.Py_ssize_t, 6)
TOP = cython.declare(cython.Py_ssize_t, 7)

# Of a row: the columns of the loop's, the words behind these, and which is the packet's length.
COLUMNS = cython.declare(cython.Py_ssize_t, 16)
WORDS = cython.declare(cython.Py_ssize_t, 7)
SIZE = cython.declare(cython.Py_ssize_t, 17)


@cython.cclass
class Desk:
    """`spare` is an entry that is always there, for a packet that may hold all of a hello.
    `used` are those that wait. Piece `n` of entry `e` is number ``4 e + n``."""

    def __init__(self) -> None:
        size = MAX_HELLOS + 1
        self.entries = array("q", bytes(8 * WIDTH * size))
        self.spans = array("q", bytes(8 * 2 * MAX_SPANS * size))
        self.hellos = array("B", bytes(MAX_HELLO * size))
        self.packets = array("B", bytes(MAX_PACKET * MAX_PIECES * size))
        self.rows = array("q", bytes(8 * ROW * MAX_PIECES * size))
        self.free = array("q", range(MAX_HELLOS))
        self.count_free = MAX_HELLOS
        self.gone = array("q", bytes(8 * size))
        self.count_gone = 0
        self.spare = MAX_HELLOS
        self.used = 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def begin(
        self,
        flow: cython.longlong,
        side: cython.longlong,
        base: cython.longlong,
        now: cython.longlong,
    ) -> cython.void:
        """Make the spare entry that of a hello of which nothing came yet."""
        at: cython.Py_ssize_t = WIDTH * self.spare
        self.entries[at + FLOW] = flow
        self.entries[at + SIDE] = side
        self.entries[at + BASE] = base
        self.entries[at + TIME] = now
        self.entries[at + SPANS] = 0
        self.entries[at + PIECES] = 0
        self.entries[at + HAVE] = 0
        self.entries[at + TOP] = 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def place(
        self,
        entry: cython.Py_ssize_t,
        position: cython.longlong,
        data: cython.const[cython.uchar][::1],
        at: cython.Py_ssize_t,
        size: cython.longlong,
    ) -> cython.bint:
        """Put the `size` bytes at `at` to `position` of the hello; false where they do not
        fit, or others are there already."""
        i: cython.Py_ssize_t = 0
        place: cython.Py_ssize_t = WIDTH * entry
        span: cython.Py_ssize_t = 2 * MAX_SPANS * entry
        count: cython.Py_ssize_t = self.entries[place + SPANS]
        end: cython.longlong
        if size <= 0 or size > MAX_HELLO or position < 0 or position > MAX_HELLO - size:
            return False
        end = position + size
        if count >= MAX_SPANS:
            return False
        while i < count:
            if position < self.spans[span + 1] and self.spans[span] < end:
                return False
            span += 2
            i += 1
        if not copy(data, at, size, self.hellos, MAX_HELLO * entry + position):
            return False
        self.spans[span] = position
        self.spans[span + 1] = end
        self.entries[place + SPANS] = count + 1
        self.entries[place + HAVE] += size
        self.entries[place + TOP] = max(end, self.entries[place + TOP])
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def reaches(self, entry: cython.Py_ssize_t) -> cython.longlong:
        """How many bytes of the hello are there, in one piece from its start; 0 while there
        is a gap."""
        place: cython.Py_ssize_t = WIDTH * entry
        if self.entries[place + HAVE] != self.entries[place + TOP]:
            return 0
        return self.entries[place + TOP]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def settle(self) -> cython.bint:
        """Let the spare entry wait and have another spare one; false where none is free."""
        if self.count_free == 0:
            return False
        self.count_free -= 1
        self.used += 1
        self.spare = self.free[self.count_free]
        self.entries[WIDTH * self.spare + FLOW] = 0
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def drop(self, entry: cython.Py_ssize_t) -> cython.void:
        """An entry that waited is done with."""
        self.entries[WIDTH * entry + FLOW] = 0
        self.free[self.count_free] = entry
        self.count_free += 1
        self.used -= 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def leave(self, entry: cython.Py_ssize_t) -> cython.void:
        """The packets of an entry that waited have become rows."""
        self.entries[WIDTH * entry + FLOW] = 0
        self.gone[self.count_gone] = entry
        self.count_gone += 1
        self.used -= 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def oldest(self) -> cython.Py_ssize_t:
        """The entry that waits longest, -1 where none does."""
        i: cython.Py_ssize_t
        found: cython.Py_ssize_t = -1
        for i in range(MAX_HELLOS + 1):
            if (
                i != self.spare
                and self.entries[WIDTH * i + FLOW] != 0
                and (
                    found < 0 or self.entries[WIDTH * i + TIME] < self.entries[WIDTH * found + TIME]
                )
            ):
                found = i
        return found

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def keep(
        self,
        entry: cython.Py_ssize_t,
        data: cython.const[cython.uchar][::1],
        at: cython.Py_ssize_t,
        size: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Copy a packet that brought a piece; where its row is to be written, -1 where
        there is no room for it."""
        place: cython.Py_ssize_t = WIDTH * entry + PIECES
        piece: cython.Py_ssize_t = MAX_PIECES * entry + self.entries[place]
        if self.entries[place] >= MAX_PIECES or size > MAX_PACKET:
            return -1
        if not copy(data, at, size, self.packets, MAX_PACKET * piece):
            return -1
        self.entries[place] += 1
        return ROW * piece

    def left(self) -> list[int]:
        """The entries that left since the last call."""
        entries = [self.gone[i] for i in range(self.count_gone)]
        self.count_gone = 0
        return entries

    def give_back(self, entries: list[int]) -> None:
        """Entries that left can be used again."""
        for entry in entries:
            self.free[self.count_free] = entry
            self.count_free += 1

    def clear(self) -> bool:
        """Whether nothing is here, waiting or left."""
        return self.count_free == MAX_HELLOS

    def piece(self, number: int) -> tuple[list[int], bytes]:
        """What lies behind the columns of a packet's row, and the packet."""
        row: cython.Py_ssize_t = ROW * number
        start: cython.Py_ssize_t = MAX_PACKET * number
        size: cython.Py_ssize_t = self.rows[row + SIZE]
        words = [self.rows[i] for i in range(row + COLUMNS, row + COLUMNS + WORDS)]
        return words, bytes(self.packets[start : start + size])
