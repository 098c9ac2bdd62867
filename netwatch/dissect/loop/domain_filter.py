# cython: language_level=3, boundscheck=True, wraparound=False
"""The domain filter: is a name below any domain that the rules contain.

Domains are stored as hashes. The hash is a polynomial of a name's letters, so that the hash of
every parent domain follows from the hashes at the dots, and one pass over the letters is enough for
all of them. Two names with the same hash only let more through to the parsers.
"""

from array import array
from collections.abc import Iterable
from functools import lru_cache

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.dissect.loop.octets import Window

from netwatch.core.buffers import Buffer, Words

BASE = cython.declare(cython.ulonglong, 0x2545F4914F6CDD1D)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)

LONGEST = cython.declare(cython.Py_ssize_t, 253)
"""The longest name (RFC 1035 section 2.3.4), bytes of text."""

MOST_LABELS = cython.declare(cython.Py_ssize_t, 32)
"""Labels in a name that is hashed."""

MAX_JUMPS = cython.declare(cython.int, 16)
"""Compression pointers in a name that is followed."""


@lru_cache(maxsize=4)
def hash_table(domains: tuple[bytes, ...]) -> tuple[Words, int]:
    """The hashes of domains as a table with open addressing, and the mask of its places. Nobody
    writes to it afterwards, so the captures of a run share it: there are many domains."""
    byte: cython.int
    hash_: cython.ulonglong
    place: cython.ulonglong
    mask: cython.ulonglong
    size: cython.ulonglong = 64
    hashes: list[int] = []
    for domain in domains:
        hash_ = 0
        for byte in domain:
            hash_ = (hash_ * BASE + byte) & LOW63
        hashes.append(hash_ | 1)
    while size < 3 * len(hashes):
        size *= 2
    table: Words = array("q", bytes(8 * size))
    mask = size - 1
    for hash_ in hashes:
        place = (hash_ >> 31) & mask
        while table[place] != 0 and table[place] != hash_:
            place = (place + 1) & mask
        table[place] = hash_
    return table, mask


@cython.final
@cython.cclass
class DomainSet:
    """The domains that rules contain, as a hash table with open addressing.

    A domain matches itself and every name below it. While the set is not `active` every name is
    of interest.
    """

    def __init__(self, domains: Iterable[bytes] | None = None) -> None:
        self.active = False
        self.hashes: Words = array("q", bytes(8))
        self.mask = 0
        self.replace(domains)

    def replace(self, domains: Iterable[bytes] | None) -> None:
        """Only names below these domains are of interest from now on. Domains are lower-case, as
        `netwatch.core.names` normalizes them; None makes all names be of interest."""
        self.hashes, self.mask = hash_table(tuple(domains or ()))
        self.active = domains is not None

    def contains(self, domain: cython.ulonglong) -> cython.bint:
        """Whether a domain with this hash is in the set."""
        key: cython.longlong = domain
        place: cython.ulonglong = (domain >> 31) & self.mask
        found: cython.longlong = self.hashes[place]
        while found != 0:
            if found == key:
                return True
            place = (place + 1) & self.mask
            found = self.hashes[place]
        return False


@cython.final
@cython.cclass
class DomainFilter(Window):
    """Hashes one name after the other and compares each with a `DomainSet`, which several
    filters may share."""

    def __init__(self, domains: DomainSet) -> None:
        i: cython.Py_ssize_t
        letter: cython.int
        Window.__init__(self)
        self.domains = domains
        self.name_end = 0
        self.hash = 0
        self.length = 0
        self.labels = 0
        self.label_hashes: Words = array("Q", bytes(8 * MOST_LABELS))
        self.label_starts: Words = array("q", bytes(8 * MOST_LABELS))
        self.powers: Words = array("Q", bytes(8 * 256))
        self.powers[0] = 1
        for i in range(1, 256):
            self.powers[i] = (self.powers[i - 1] * BASE) & LOW63
        lower = bytearray(256)
        for letter in b"abcdefghijklmnopqrstuvwxyz0123456789-_.":
            lower[letter] = letter
        for letter in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
            lower[letter] = letter + 32
        self.lower: Buffer = lower

    def not_matched(self) -> cython.bint:
        """Whether the name that was hashed is below no domain of the set."""
        i: cython.Py_ssize_t = 0
        before: cython.ulonglong
        domain: cython.ulonglong
        while i < self.labels:
            before = self.label_hashes[i]
            domain = self.powers[self.length - self.label_starts[i]]
            domain = ((self.hash - before * domain) & LOW63) | 1
            if self.domains.contains(domain):
                return False
            i += 1
        return True

    def start_name(self) -> cython.void:
        """Begin to hash another name."""
        self.hash = 0
        self.length = 0
        self.labels = 0

    def hash_name(
        self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, dots: cython.bint
    ) -> cython.bint:
        """Add letters, digits, ``-`` and ``_`` in lower case to the name, and with `dots` the
        dots between labels; false where there is any other byte, or the name is too long."""
        c: cython.int
        hash_: cython.ulonglong = self.hash
        length: cython.Py_ssize_t = self.length + end - at
        if length > LONGEST or self.labels >= MOST_LABELS:
            return False
        self.label_hashes[self.labels] = hash_
        self.label_starts[self.labels] = self.length
        self.labels += 1
        while at < end:
            c = self.lower[self.data[at]]
            at += 1
            if c == 0:
                return False
            hash_ = (hash_ * BASE + c) & LOW63
            if c == 46:
                if not dots or self.labels >= MOST_LABELS:
                    return False
                self.label_hashes[self.labels] = hash_
                self.label_starts[self.labels] = length - (end - at)
                self.labels += 1
        self.hash = hash_
        self.length = length
        return True

    def hash_labels(
        self, start: cython.Py_ssize_t, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.bint:
        """Hash the DNS name at `at` (RFC 1035 section 4.1.4) of the message at `start`. False
        for the root and for a name that is not laid out as usual; else `name_end` is where its
        bytes end."""
        size: cython.Py_ssize_t
        there: cython.Py_ssize_t
        jumps: cython.int = 0
        self.start_name()
        while at < end:
            size = self.data[at]
            if size == 0:
                if jumps == 0:
                    self.name_end = at + 1
                return self.length > 0
            if size >= 192:
                if at + 1 >= end:
                    return False
                if jumps == 0:
                    self.name_end = at + 2
                there = start + (((size & 63) << 8) | self.data[at + 1])
                jumps += 1
                if there >= at or jumps > MAX_JUMPS:
                    return False
                at = there
                continue
            if size > 63 or at + 1 + size >= end:
                return False
            if self.length > 0:
                self.hash = (self.hash * BASE + 46) & LOW63
                self.length += 1
            if not self.hash_name(at + 1, at + 1 + size, False):
                return False
            at += 1 + size
        return False
