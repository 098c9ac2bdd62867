# cython: language_level=3, boundscheck=True, wraparound=False
"""Tables in which the addresses of each ended flow are looked up.

An address is four words of 32 bits, as in the flow table: IPv4 addresses are in the first. A range
or a filter may match an address that it does not contain, never the other way round; the caller
then looks it up exactly.
"""

from array import array
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.buffers import Buffer, Octets, Words, zeroed

FILTER_SIZE = 1 << 18
"""Counters of an address filter, a power of two. With 65,536 entries it matches every fifth other
address."""

MIX = cython.declare(cython.ulonglong, 0x1E3779B97F4A7C15)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)
MASK = cython.declare(cython.Py_ssize_t, FILTER_SIZE - 1)
FULL = cython.declare(cython.int, 255)
VLANS = cython.declare(cython.longlong, 4096)
ENTRY = cython.declare(cython.Py_ssize_t, 5)


def mixed(
    hash_: cython.ulonglong,
    a: cython.longlong,
    b: cython.longlong,
    c: cython.longlong,
    d: cython.longlong,
) -> cython.ulonglong:
    """The hash with four more words, 63 bits."""
    hash_ = ((hash_ ^ a) * MIX) & LOW63
    hash_ ^= hash_ >> 29
    if b or c or d:
        hash_ = ((hash_ ^ b) * MIX) & LOW63
        hash_ = (((hash_ ^ (hash_ >> 29)) ^ c) * MIX) & LOW63
        hash_ = (((hash_ ^ (hash_ >> 29)) ^ d) * MIX) & LOW63
        hash_ ^= hash_ >> 29
    return hash_


def words_of(address: bytes) -> tuple[int, int, int, int]:
    """The four words of a packed address."""
    padded = address.ljust(16, b"\0")
    return (
        int.from_bytes(padded[:4]),
        int.from_bytes(padded[4:8]),
        int.from_bytes(padded[8:12]),
        int.from_bytes(padded[12:]),
    )


@cython.final
@cython.cclass
class AddressFilter:
    """Counts addresses, or pairs of them, by their hash.

    `salt` (63 bits) varies the hashes, so that addresses cannot be chosen to collide. A full
    counter stays full. What was added more often than discarded always matches.
    """

    def __init__(self, salt: int) -> None:
        self.counts: Buffer = zeroed("B", FILTER_SIZE)
        self.salt = salt
        self.used = False

    def add(self, first: bytes, second: bytes = b"") -> None:
        """Add a packed address, or a pair."""
        place: cython.Py_ssize_t = self.place(first, second)
        self.used = True
        if self.counts[place] < FULL:
            self.counts[place] += 1

    def add_all(self) -> None:
        """Make every address match."""
        self.used = True
        for place in range(FILTER_SIZE):
            self.counts[place] = FULL

    def discard(self, first: bytes, second: bytes = b"") -> None:
        """Discard what was added, once."""
        place: cython.Py_ssize_t = self.place(first, second)
        if 0 < self.counts[place] < FULL:
            self.counts[place] -= 1

    def place(self, first: bytes, second: bytes) -> cython.Py_ssize_t:
        """The counter of a packed address, or of a pair."""
        a, b, c, d = words_of(first)
        hash_: cython.ulonglong = mixed(self.salt, a, b, c, d)
        if second:
            a, b, c, d = words_of(second)
            hash_ = mixed(hash_, a, b, c, d)
        return (hash_ >> 29) & MASK

    def may_have(self, hash_: cython.ulonglong) -> cython.bint:
        """Whether the address with this hash, which began with `salt`, may have been added."""
        return self.counts[(hash_ >> 29) & MASK] != 0


@cython.final
@cython.cclass
class AddressRanges:
    """The addresses and VLANs of configured networks, in enough detail to tell that a client is
    outside all ranges: IPv6 addresses are compared by their first 63 bits.

    `ranges` are the first and the last packed address of each, in any order; `vlans` are networks
    whatever the address.
    """

    def __init__(
        self, ranges: Iterable[tuple[bytes, bytes]] = (), vlans: Collection[int] = ()
    ) -> None:
        spans: dict[int, list[tuple[int, int]]] = {4: [], 16: []}
        for first, last in ranges:
            spans[len(first)].append((_number(first), _number(last)))
        self.ipv4: Words = _union(spans[4])
        self.ipv6: Words = _union(spans[16])
        self.vlans: Octets = bytes(vlan in vlans for vlan in range(VLANS))

    def are_outside(
        self,
        is_ipv6: cython.bint,
        a: cython.longlong,
        b: cython.longlong,
        vlan: cython.longlong,
    ) -> cython.bint:
        """Whether an address that begins with these two words is in no range, and the VLAN (-1:
        untagged) is not a network by itself."""
        if 0 <= vlan < VLANS and self.vlans[vlan]:
            return False
        if is_ipv6:
            return not contains(self.ipv6, (a << 31) | (b >> 1))
        return not contains(self.ipv4, a)


@cython.final
@cython.cclass
class AddressCategories:
    """The categories of the apps that have a server at a packed address, as places in
    `netwatch.core.flow.NAME_STATUSES`."""

    def __init__(self, categories: Mapping[bytes, int] = MappingProxyType({})) -> None:
        size: int = 8
        while size < 3 * len(categories):
            size *= 2
        self.mask = size - 1
        self.entries: Words = array("q", bytes(8 * ENTRY * size))
        for address, category in categories.items():
            a, b, c, d = words_of(address)
            at: cython.Py_ssize_t = self.seek(len(address) == 16, a, b, c, d)
            self.entries[at] = category << 1 | (len(address) == 16)
            for i, word in enumerate((a, b, c, d)):
                self.entries[at + 1 + i] = word

    def seek(
        self,
        is_ipv6: cython.bint,
        a: cython.longlong,
        b: cython.longlong,
        c: cython.longlong,
        d: cython.longlong,
    ) -> cython.Py_ssize_t:
        """The start of an address's entry, or of the free entry where it belongs."""
        place: cython.Py_ssize_t = (mixed(0, a, b, c, d) >> 29) & self.mask
        at: cython.Py_ssize_t
        while True:
            at = place * ENTRY
            if self.entries[at] == 0 or (
                self.entries[at] & 1 == is_ipv6
                and self.entries[at + 1] == a
                and self.entries[at + 2] == b
                and self.entries[at + 3] == c
                and self.entries[at + 4] == d
            ):
                return at
            place = (place + 1) & self.mask

    def category(
        self,
        is_ipv6: cython.bint,
        a: cython.longlong,
        b: cython.longlong,
        c: cython.longlong,
        d: cython.longlong,
    ) -> cython.longlong:
        """The category at an address, 0 if there is none."""
        return self.entries[self.seek(is_ipv6, a, b, c, d)] >> 1


def _number(address: bytes) -> int:
    return int.from_bytes(address) if len(address) == 4 else int.from_bytes(address[:8]) >> 1


def _union(spans: list[tuple[int, int]]) -> Words:
    """The union of ranges, in order: the first and the last number of each."""
    bounds: list[int] = []
    end = -2
    for first, last in sorted(spans):
        if first <= end + 1:
            end = max(end, last)
            bounds.pop()
        else:
            end = last
            bounds.append(first)
        bounds.append(end)
    return array("q", bounds)


def contains(bounds: Words, number: cython.longlong) -> cython.bint:
    """Whether a number is in one of the ranges with these bounds."""
    low: cython.Py_ssize_t = 0
    high: cython.Py_ssize_t = len(bounds) >> 1
    middle: cython.Py_ssize_t
    # The first range that ends after the number, if any, is at `low`.
    while low < high:
        middle = (low + high) >> 1
        if bounds[2 * middle + 1] < number:
            low = middle + 1
        else:
            high = middle
    return low < len(bounds) >> 1 and bounds[2 * low] <= number
