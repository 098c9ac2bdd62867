# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# mypy: disable-error-code="import-untyped,untyped-decorator,valid-type"
"""Finds the packet records in a buffer: the code that touches every one of them.

A walker goes from record to record and writes `FIELDS` integers each into a flat array
(see `netwatch.capture.block`). It stops where Python has to decide: more bytes wanted,
array full, a block that opens a section or describes an interface, lengths that cannot
be. This is an ordinary Python file that Cython compiles; where it could not be compiled
it runs as it is, slowly, with the same result.

pcap is draft-ietf-opsawg-pcap, the ring that of AF_PACKET on Linux
(Documentation/networking/packet_mmap); `framing_pcapng.py` walks pcapng. Offsets are in
bytes from the start of the buffer, times in ns since the epoch, UTC.
"""

from collections.abc import Sequence

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

from netwatch.capture.block import FIELDS

COMPILED: bool = cython.compiled
"""Whether this file runs as a C extension."""

MORE, FULL, IMPLAUSIBLE, SECTION, DESCRIPTION, PASS, DISAGREE, UNKNOWN, MISFIT = range(9)
STATISTICS = 9
"""Why a walker stopped, at `at`, and what its `value` then is:

- MORE: the record is not whole in the buffer; how many bytes from `at` are wanted.
- FULL: no room in the array for another record; 0.
- IMPLAUSIBLE: a length that no capture has; that length.
- SECTION: a Section Header Block; 0.
- DESCRIPTION: an Interface Description Block; 0.
- PASS: another block without a packet, not whole in the buffer; its length.
- DISAGREE: the two lengths of a block differ; the second one.
- UNKNOWN: a packet of an interface that its section does not describe; the block's length.
- MISFIT: a packet longer than its block; the block's length.
- STATISTICS: an Interface Statistics Block of no more than `LONGEST_STATISTICS`; its length.
"""

_MORE = cython.declare(cython.int, MORE)
_FULL = cython.declare(cython.int, FULL)
_IMPLAUSIBLE = cython.declare(cython.int, IMPLAUSIBLE)
_MISFIT = cython.declare(cython.int, MISFIT)
_FIELDS = cython.declare(cython.Py_ssize_t, FIELDS)
_RING_HEADER = cython.declare(cython.Py_ssize_t, 48)
_TAGGED = cython.declare(cython.longlong, 1 << 4)
_TAG_TYPED = cython.declare(cython.longlong, 1 << 6)


if not cython.compiled:
    # The compiled form takes it from the .pxd, where it is put in place of a call.

    def u32(data: Sequence[int], at: int, big: bool) -> int:
        """Four bytes as a number, in network order or the other one."""
        a, b, c, d = data[at], data[at + 1], data[at + 2], data[at + 3]
        return a << 24 | b << 16 | c << 8 | d if big else d << 24 | c << 16 | b << 8 | a


def walk_pcap(
    data: cython.const[cython.uchar][::1],
    start: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    records: cython.longlong[::1],
    big: cython.bint,
    nano: cython.bint,
    header: cython.Py_ssize_t,
    limit: cython.longlong,
) -> tuple[int, int, int, int]:
    """Find pcap records in ``data[start:end]``; returns (count, at, status, value).

    `header` is the size of a record's header (16 bytes, 24 in Kuznetzov's variant),
    `limit` the largest captured length taken for plausible. `at` is where the first
    record stands that was not taken.
    """
    capacity: cython.Py_ssize_t = len(records) // _FIELDS
    at: cython.Py_ssize_t = start
    to: cython.Py_ssize_t = 0
    count: cython.Py_ssize_t = 0
    status: cython.int = _MORE
    value: cython.longlong = 0
    scale: cython.longlong = 1 if nano else 1000
    captured: cython.longlong
    wire: cython.longlong
    with cython.nogil:
        while True:
            if count >= capacity:
                status = _FULL
                break
            if end - at < header:
                value = header
                break
            captured = u32(data, at + 8, big)
            if captured > limit:
                status = _IMPLAUSIBLE
                value = captured
                break
            if captured > end - at - header:
                value = header + captured
                break
            wire = u32(data, at + 12, big)
            to = count * _FIELDS
            records[to] = u32(data, at, big) * 1_000_000_000 + u32(data, at + 4, big) * scale
            records[to + 1] = at + header
            records[to + 2] = captured
            records[to + 3] = captured if captured > wire else wire
            records[to + 4] = 0
            records[to + 5] = -1
            count += 1
            at += header + captured
    return count, at, status, value


def walk_ring(
    data: cython.const[cython.uchar][::1],
    start: cython.Py_ssize_t,
    packets: cython.longlong,
    records: cython.longlong[::1],
    big: cython.bint,
) -> tuple[int, int, int, int]:
    """Find `packets` packets in a block of a ring, the first at `start`; returns (count,
    at, status, value) as `walk_pcap` does.

    Each begins with a tpacket3_hdr (linux/if_packet.h), in the byte order of the machine,
    that says where the next one is. MORE says here that all are found, MISFIT that one
    does not lie in the block.
    """
    capacity: cython.Py_ssize_t = len(records) // _FIELDS
    end: cython.Py_ssize_t = len(data)
    at: cython.Py_ssize_t = start
    to: cython.Py_ssize_t = 0
    count: cython.Py_ssize_t = 0
    status: cython.int = _MORE
    value: cython.longlong = 0
    packet: cython.longlong
    captured: cython.longlong
    wire: cython.longlong
    flags: cython.longlong
    word: cython.longlong
    with cython.nogil:
        while count < packets:
            if count >= capacity:
                status = _FULL
                break
            if at < 0 or end - at < _RING_HEADER:
                status = _MISFIT
                break
            value = u32(data, at, big)
            captured = u32(data, at + 12, big)
            wire = u32(data, at + 16, big)
            flags = u32(data, at + 20, big)
            word = u32(data, at + 24, big)  # offsets of frame and network header, 16 bits each
            packet = (word >> 16) if big else (word & 0xFFFF)
            if packet < _RING_HEADER or packet + captured > end - at:
                status = _MISFIT
                break
            to = count * _FIELDS
            records[to] = u32(data, at + 4, big) * 1_000_000_000 + u32(data, at + 8, big)
            records[to + 1] = at + packet
            records[to + 2] = captured
            records[to + 3] = captured if captured > wire else wire
            records[to + 4] = 0
            records[to + 5] = -1
            if flags & _TAGGED:
                records[to + 5] = u32(data, at + 32, big) & 0xFFFF
                if flags & _TAG_TYPED:
                    word = u32(data, at + 36, big)
                    word = (word >> 16) if big else (word & 0xFFFF)
                    records[to + 5] |= word << 16
            count += 1
            at += value
            if value == 0 and count < packets:
                status = _MISFIT
                break
    return count, at, status, 0
