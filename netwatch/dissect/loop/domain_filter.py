# cython: language_level=3, boundscheck=True, wraparound=False
"""The zones of interest, and whether a name is in one of them.

Zones are kept as sums of their letters with weights, a polynomial: that of every domain
of a name follows from those at its dots, so that one pass over the letters does for all
of them. Two names that share a sum only let more through.
"""

from array import array
from collections.abc import Iterable

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.preface_masks import Prefaces
else:
    from netwatch.dissect.loop.preface_masks import Prefaces

BASE = cython.declare(cython.ulonglong, 0x2545F4914F6CDD1D)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)
LONGEST = cython.declare(cython.Py_ssize_t, 253)
MOST_LABELS = cython.declare(cython.Py_ssize_t, 32)
MAX_JUMPS = cython.declare(cython.int, 16)


@cython.cclass
class Zones(Prefaces):
    """Spells out a name, and holds it against the zones."""

    def interest(self, zones: Iterable[bytes] | None) -> None:
        """Only names in these zones (lower-case, as `netwatch.core.names` spells them; the zone
        itself and all below it) are of interest from now on; None: all names."""
        byte: cython.int
        place: cython.ulonglong
        size: cython.ulonglong = 64
        sums: list[int] = []
        for zone in zones or ():
            self.sum = 0
            for byte in zone:
                self.feed(byte)
            sums.append(self.sum | 1)
        while size < 3 * len(sums):
            size *= 2
        self.zones = array("q", bytes(8 * size))
        self.last = size - 1
        for sum_ in sums:
            place = (sum_ >> 31) & self.last
            while self.zones[place] != 0 and self.zones[place] != sum_:
                place = (place + 1) & self.last
            self.zones[place] = sum_
        self.filtering = zones is not None

    def prepare(self) -> None:
        """Make the tables that names are summed up with."""
        i: cython.Py_ssize_t
        self.marks = array("q", bytes(8 * MOST_LABELS))
        self.places = array("q", bytes(8 * MOST_LABELS))
        self.powers = array("q", bytes(8 * 256))
        self.sum = 1
        for i in range(256):
            self.powers[i] = self.sum
            self.sum = (self.sum * BASE) & LOW63
        self.spelling = array("B", bytes(256))
        for i in b"abcdefghijklmnopqrstuvwxyz0123456789-_.":
            self.spelling[i] = i
        for i in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
            self.spelling[i] = i + 32

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def feed(self, byte: cython.int) -> cython.void:
        """Take a byte into the sum."""
        self.sum = (self.sum * BASE + byte) & LOW63

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def is_idle(self) -> cython.bint:
        """Whether the name spelled out is in no zone of interest."""
        i: cython.Py_ssize_t = 0
        before: cython.ulonglong
        domain: cython.ulonglong
        place: cython.ulonglong
        found: cython.longlong
        while i < self.count_labels:
            before = self.marks[i]
            domain = self.powers[self.length - self.places[i]]
            domain = ((self.sum - before * domain) & LOW63) | 1
            place = (domain >> 31) & self.last
            found = self.zones[place]
            while found != 0:
                if found == cython.cast(cython.longlong, domain):
                    return False
                place = (place + 1) & self.last
                found = self.zones[place]
            i += 1
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def spell(
        self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, dots: cython.bint
    ) -> cython.bint:
        """Take in letters, digits, ``-`` and ``_`` in lower case, and with `dots` those that
        are written; false where there is anything else, or too much."""
        c: cython.int
        sum_: cython.ulonglong = self.sum
        length: cython.Py_ssize_t = self.length + end - at
        if length > LONGEST or self.count_labels >= MOST_LABELS:
            return False
        self.marks[self.count_labels] = sum_
        self.places[self.count_labels] = self.length
        self.count_labels += 1
        while at < end:
            c = self.spelling[self.data[at]]
            at += 1
            if c == 0:
                return False
            sum_ = (sum_ * BASE + c) & LOW63
            if c == 46:
                if not dots or self.count_labels >= MOST_LABELS:
                    return False
                self.marks[self.count_labels] = sum_
                self.places[self.count_labels] = length - (end - at)
                self.count_labels += 1
        self.sum = sum_
        self.length = length
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def anew(self) -> cython.void:
        """Begin to spell out another name."""
        self.sum = 0
        self.length = 0
        self.count_labels = 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def labels(
        self, start: cython.Py_ssize_t, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.bint:
        """Spell out a DNS name (RFC 1035 section 4.1.4) of the message at `start`; false for
        the root and where it is not made as usual. `stopped` is where its bytes end."""
        size: cython.Py_ssize_t
        there: cython.Py_ssize_t
        jumps: cython.int = 0
        self.anew()
        while at < end:
            size = self.data[at]
            if size == 0:
                if jumps == 0:
                    self.stopped = at + 1
                return self.length > 0
            if size >= 192:
                if at + 1 >= end:
                    return False
                if jumps == 0:
                    self.stopped = at + 2
                there = start + (((size & 63) << 8) | self.data[at + 1])
                jumps += 1
                if there >= at or jumps > MAX_JUMPS:
                    return False
                at = there
                continue
            if size > 63 or at + 1 + size >= end:
                return False
            if self.length > 0:
                self.feed(46)
                self.length += 1
            if not self.spell(at + 1, at + 1 + size, False):
                return False
            at += 1 + size
        return False
