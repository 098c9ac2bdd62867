# cython: language_level=3, boundscheck=True, wraparound=False
"""How a packet with a name was seen: its checksum, and its place in what its side sends.

A place is a 32-bit number by which an answer can be recognised: a segment's sequence number, for a
QUIC packet with a long header (RFC 9000 section 17.2) a hash of its source connection id, for any
other datagram 0. The mark of a packet has its place, above it the checksum state, and whether there
is a place (``MARK_`` in `netwatch.dissect.loop.layout`).
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.seen_marks import netwatch_sum
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor

from netwatch.dissect.loop import layout as numbers

TCP = cython.declare(cython.int, 6)
UDP = cython.declare(cython.int, 17)
LONG_HEADER = cython.declare(cython.int, 0xC0)
PRIME = cython.declare(cython.longlong, 0x01000193)
BASIS = cython.declare(cython.longlong, 0x811C9DC5)
PLACED = cython.declare(cython.longlong, 1 << numbers.MARK_PLACED)
LOW32 = cython.declare(cython.longlong, 0xFFFFFFFF)


def checksum_of(cursor: Cursor) -> cython.int:
    """The checksum state of the segment or datagram at the cursor (``CHECKSUM_``). The checksum
    covers the addresses, the protocol, the length, the header and the payload (RFC 9293 section
    3.1, RFC 768, RFC 8200 section 8.1). Unknown if bytes were cut off, and for a datagram without
    one."""
    size: cython.Py_ssize_t = cursor.wire_end - cursor.at
    field: cython.Py_ssize_t = cursor.at + (16 if cursor.protocol == TCP else 6)
    total: cython.ulonglong
    if (
        (cursor.protocol != TCP and cursor.protocol != UDP)
        or cursor.fragment >= 0
        or cursor.end != cursor.wire_end
        or field + 2 > cursor.end
        or cursor.at < 0
        or cursor.end > len(cursor.data)
        or cursor.addresses < 0
        or cursor.addresses + 2 * cursor.address_size > len(cursor.data)
    ):
        return layout.CHECKSUM_UNKNOWN
    if cursor.protocol == UDP:
        size = cursor.u16(cursor.at + 4)
        if size == 0:
            size = cursor.wire_end - cursor.at
        if cursor.u16(field) == 0 or size != cursor.wire_end - cursor.at:
            return layout.CHECKSUM_UNKNOWN
    total = (
        sum_of(cursor, cursor.addresses, 2 * cursor.address_size)
        + sum_of(cursor, cursor.at, size)
        + cursor.protocol
        + (size & 0xFFFF)
        + (size >> 16)
    )
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return layout.CHECKSUM_RIGHT if total == 0xFFFF else layout.CHECKSUM_WRONG


def sum_of(cursor: Cursor, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.ulonglong:
    """The sum of the 16-bit words of `size` bytes at `at`, folded once; an odd byte is the upper
    half of a word."""
    i: cython.Py_ssize_t
    total: cython.ulonglong = 0
    if cython.compiled:
        if size <= 0:
            return 0
        return netwatch_sum(cython.address(cursor.data[at]), size)
    for i in range(at, at + size - 1, 2):
        total += cursor.u16(i)
    if size & 1:
        total += cursor.data[at + size - 1] << 8
    return total


def place_of(cursor: Cursor) -> cython.longlong:
    """The place of the packet at the cursor, plus the bit `layout.MARK_PLACED`; 0 if it has
    none."""
    at: cython.Py_ssize_t = cursor.at + 8
    size: cython.Py_ssize_t
    if cursor.fragment >= 0:
        return 0
    if cursor.protocol == TCP:
        return cursor.u32(cursor.at + 4) | PLACED if cursor.has(20) else 0
    if cursor.protocol != UDP:
        return 0
    if is_long(cursor, at):
        at += 6 + cursor.data[at + 5]
        if at < cursor.end:
            size = cursor.data[at]
            if at + 1 + size <= cursor.end:
                return hash_of(cursor, at + 1, size) | PLACED
    return PLACED


def is_long(cursor: Cursor, at: cython.Py_ssize_t) -> cython.bint:
    """Whether the payload at `at` starts with a QUIC long header; versions of Google's own QUIC
    (``Q`` and ``T``) have another layout."""
    return (
        at + 7 <= cursor.end
        and cursor.data[at] >= LONG_HEADER
        and cursor.data[at + 1] != 0x51
        and cursor.data[at + 1] != 0x54
        and cursor.data[at + 5] <= 20
    )


def hash_of(cursor: Cursor, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.longlong:
    """The FNV-1a hash of a connection id, never 0."""
    i: cython.Py_ssize_t
    found: cython.longlong = BASIS
    for i in range(at, at + size):
        found = ((found ^ cursor.data[i]) * PRIME) & LOW32
    return found if found else BASIS


def called_of(cursor: Cursor) -> cython.longlong:
    """The place of the datagram that the one at the cursor answers, if it tells, with the bit
    `layout.MARK_PLACED`: a hash of its destination connection id."""
    at: cython.Py_ssize_t = cursor.at + 8
    if is_long(cursor, at) and at + 6 + cursor.data[at + 5] <= cursor.end:
        return hash_of(cursor, at + 6, cursor.data[at + 5]) | PLACED
    return PLACED


def answers(cursor: Cursor, named: cython.longlong) -> cython.bint:
    """Whether the datagram at the cursor answers one with the place `named`: in QUIC its
    destination connection id is the one that the client chose. A version negotiation packet has a
    long header whose second bit may be anything (RFC 9000 section 17.2.1). A short header does not
    contain the length of the id, so it answers nothing."""
    at: cython.Py_ssize_t = cursor.at + 8
    if named & LOW32 == 0:
        return True
    if at + 7 > cursor.end or cursor.data[at] < 0x80 or cursor.data[at + 5] > 20:
        return False
    if at + 6 + cursor.data[at + 5] > cursor.end:
        return False
    return hash_of(cursor, at + 6, cursor.data[at + 5]) == named & LOW32


def mark_of(cursor: Cursor) -> cython.longlong:
    """The mark of the packet at the cursor, which carries a name. The cursor remembers its checksum
    state."""
    found: cython.int = checksum_of(cursor)
    cursor.checksum = found
    return place_of(cursor) | (cython.cast(cython.longlong, found) << layout.MARK_CHECKSUM)
