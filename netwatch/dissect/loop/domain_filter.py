# cython: language_level=3, boundscheck=True, wraparound=False
"""The domain filter: is a name below any domain that the rules contain?

Domains are stored as hashes. The hash is a polynomial of the hashes of a name's labels, so that the
hash of every parent domain is a by-product, and one pass over the letters is enough for all of
them. A hash collision only lets more messages through to the parsers.
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
    from netwatch.core.buffers import lowered
    from netwatch.dissect.loop.octets import Window

from netwatch.core.buffers import Buffer, Words

BASE = cython.declare(cython.ulonglong, 0x2545F4914F6CDD1D)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)

LONGEST = cython.declare(cython.Py_ssize_t, 253)
"""The longest name (RFC 1035 section 2.3.4), bytes of text."""

MOST_LABELS = cython.declare(cython.Py_ssize_t, 32)
"""Labels in a name that is hashed, at most."""

MAX_JUMPS = cython.declare(cython.int, 16)
"""Compression pointers to follow in a name, at most."""

TAILS = cython.declare(cython.ulonglong, 1 << 17)
"""Bits for the last two labels of domains, a power of two: they fit the first cache of a processor,
and with 8,000 different ones every sixteenth other name passes."""

HYPHENS = cython.declare(cython.ulonglong, 0x2D2D2D2D2D2D2D2D)
DOT = cython.declare(cython.int, 46)


if not cython.compiled:

    def label_hash(hash_: int, word: int) -> int:
        """The hash of a label with eight more bytes of it (see `core.buffers`)."""
        hash_ = ((hash_ ^ word) * BASE) & LOW63
        return hash_ ^ (hash_ >> 32)


def domain_hash(domain: bytes) -> cython.ulonglong:
    """The hash of a domain in lower case."""
    byte: cython.ulonglong
    hash_: cython.ulonglong = 0
    label: cython.ulonglong = 0
    word: cython.ulonglong = HYPHENS
    shift: cython.int = 0
    for byte in domain:
        if byte == DOT:
            label = label_hash(label, word) if shift or label == 0 else label
            hash_ = (hash_ * BASE + label) & LOW63
            label = 0
            word = HYPHENS
            shift = 0
            continue
        word = word ^ ((byte ^ 45) << shift)
        shift += 8
        if shift == 64:
            label = label_hash(label, word)
            word = HYPHENS
            shift = 0
    label = label_hash(label, word) if shift or label == 0 else label
    return ((hash_ * BASE + label) & LOW63) | 1


def tail_hash(domain: bytes) -> cython.ulonglong:
    """The hash of the last two labels of a domain, or of its only one."""
    dot: cython.Py_ssize_t = domain.rfind(b".")
    dot = domain.rfind(b".", 0, dot) if dot > 0 else dot
    return domain_hash(domain[dot + 1 :] if dot >= 0 else domain)


@lru_cache(maxsize=4)
def hash_table(domains: tuple[bytes, ...]) -> tuple[Words, int, Buffer, bool]:
    """The hashes of domains as a table with open addressing, the mask of its places, the bits of
    their last two labels, and whether a domain has only one. Nothing is written to afterwards, so
    the captures of a run share it: there are many domains."""
    tail: cython.ulonglong
    hash_: cython.longlong
    place: cython.ulonglong
    mask: cython.ulonglong
    size: cython.ulonglong = 64
    domain: bytes
    while size < 3 * len(domains):
        size *= 2
    made: Words = array("q", bytes(8 * size))
    table = cython.declare(cython.longlong[::1], made)  # type: ignore[misc]
    mask = size - 1
    bits: Buffer = bytearray(TAILS >> 3)
    tails = cython.declare(cython.uchar[::1], bits)  # type: ignore[misc]
    for domain in domains:
        hash_ = domain_hash(domain)
        tail = (tail_hash(domain) >> 31) & (TAILS - 1)
        tails[tail >> 3] |= 1 << (tail & 7)
        place = (hash_ >> 31) & mask
        while table[place] != 0 and table[place] != hash_:
            place = (place + 1) & mask
        table[place] = hash_
    return made, mask, bits, not all(b"." in domain for domain in domains)


@cython.final
@cython.cclass
class DomainSet:
    """The domains that rules contain, as a hash table with open addressing.

    A domain matches itself and every name below it. While the set is not `active` every name is of
    interest. `tops` tells that some have one label.
    """

    def __init__(self, domains: Iterable[bytes] | None = None) -> None:
        self.active = False
        self.hashes: Words = array("q", bytes(8))
        self.mask = 0
        self.tails: Buffer = bytearray(1)
        self.tops = False
        self.replace(domains)

    def replace(self, domains: Iterable[bytes] | None) -> None:
        """From now on only names below these domains are of interest. Domains are lower-case, as
        normalized by `netwatch.core.names`; None makes all names of interest."""
        self.hashes, self.mask, self.tails, self.tops = hash_table(tuple(domains or ()))
        self.active = domains is not None

    if not cython.compiled:
        # The compiled form takes this from the .pxd, where it is inline.

        def contains(self, domain: int) -> bool:
            """Whether a domain with this hash is in the set."""
            place = (domain >> 31) & self.mask
            found = self.hashes[place]
            while found not in (0, domain):
                place = (place + 1) & self.mask
                found = self.hashes[place]
            return found == domain

        def may_end(self, tail: int) -> bool:
            """Whether a domain may end in the two labels with this hash."""
            place = (tail >> 31) & (TAILS - 1)
            return bool(self.tails[place >> 3] >> (place & 7) & 1)


@cython.final
@cython.cclass
class DomainFilter(Window):
    """Hashes one name after the other and compares each with a `DomainSet`, which several
    filters may share."""

    def __init__(self, domains: DomainSet) -> None:
        i: cython.Py_ssize_t
        Window.__init__(self)
        self.domains = domains
        self.name_end = 0
        self.hash = 0
        self.length = 0
        self.labels = 0
        if not cython.compiled:
            self.label_hashes = [0] * MOST_LABELS
            self.powers = [0] * (MOST_LABELS + 1)
        self.powers[0] = 1
        for i in range(1, MOST_LABELS + 1):
            self.powers[i] = (self.powers[i - 1] * BASE) & LOW63

    def not_matched(self) -> cython.bint:
        """Whether the name that was hashed is below no domain of the set."""
        i: cython.Py_ssize_t = 0
        if not self.domains.tops and (
            self.labels < 2 or not self.domains.may_end(self.parent(self.labels - 2))
        ):
            return True
        while i < self.labels:
            if self.domains.contains(self.parent(i)):
                return False
            i += 1
        return True

    def parent(self, labels: cython.Py_ssize_t) -> cython.ulonglong:
        """The hash of the name without so many labels at its start."""
        before: cython.ulonglong = self.label_hashes[labels]
        return ((self.hash - before * self.powers[self.labels - labels]) & LOW63) | 1

    def start_name(self) -> cython.void:
        """Begin to hash another name."""
        self.hash = 0
        self.length = 0
        self.labels = 0

    def hash_name(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Hash a name in text form; false if it is too long or has bytes other than letters,
        digits, ``-``, ``_`` and the dots between labels."""
        start: cython.Py_ssize_t = at
        self.start_name()
        if at < 0 or end > len(self.data):
            return False
        while at < end:
            if self.data[at] == DOT:
                if not self.hash_label(start, at - start):
                    return False
                self.length += 1
                start = at + 1
            at += 1
        return self.hash_label(start, end - start)

    if not cython.compiled:
        # As `DomainSet.contains`.

        def hash_label(self, at: int, size: int) -> bool:
            """Add a label in lower case to the name; false if the name is too long or the label has
            bytes other than letters, digits, ``-`` and ``_``."""
            label = 0
            if self.labels >= MOST_LABELS or self.length + size > LONGEST:
                return False
            self.label_hashes[self.labels] = self.hash
            self.labels += 1
            self.length += size
            while True:
                word = lowered(self.word(at, size))
                if word == 0:
                    return False
                label = label_hash(label, word)
                if size <= 8:
                    break
                at += 8
                size -= 8
            self.hash = (self.hash * BASE + label) & LOW63
            return True

    def hash_labels(
        self, start: cython.Py_ssize_t, at: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.bint:
        """Hash the DNS name at `at` (RFC 1035 section 4.1.4) of the message at `start`. False for
        the root and for a name without the usual layout; otherwise `name_end` is where its bytes
        end."""
        size: cython.Py_ssize_t
        there: cython.Py_ssize_t
        jumps: cython.int = 0
        self.start_name()
        while at < end:
            size = self.data[at]
            if size == 0:
                if jumps == 0:
                    self.name_end = at + 1
                return self.labels > 0
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
            if self.labels > 0:
                self.length += 1
            if not self.hash_label(at + 1, size):
                return False
            at += 1 + size
        return False
