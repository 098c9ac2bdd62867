# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# mypy: disable-error-code="import-untyped,untyped-decorator,valid-type"
"""Finds the packet records in a buffer. This code touches every packet, so it is compiled.

A walker goes from record to record and writes `FIELDS` integers for each into a flat array (see
`netwatch.capture.block`). It returns to Python when it cannot continue alone: more bytes are
needed, the array is full, a block opens a section or describes an interface, or a length is not
possible. If this file is not compiled, it runs as ordinary Python, slowly and with the same result.

pcap is draft-ietf-opsawg-pcap, the ring is Linux's AF_PACKET
(Documentation/networking/packet_mmap); `framing_pcapng.py` walks pcapng. Offsets are in bytes from
the start of the buffer, times in ns since the epoch, UTC.
"""

from collections.abc import Sequence

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.capture.block import FIELDS, TIME

COMPILED: bool = cython.compiled
"""Whether this file runs as a C extension."""

(
    NEEDS_MORE,
    ARRAY_FULL,
    BAD_LENGTH,
    SECTION_HEADER,
    INTERFACE_DESCRIPTION,
    SKIPPED_BLOCK,
    LENGTH_MISMATCH,
    UNKNOWN_INTERFACE,
    PACKET_TOO_LONG,
    INTERFACE_STATISTICS,
) = range(10)
"""Why a walker stopped at offset `at`, and what its `value` then means:

- NEEDS_MORE: the buffer ends within the record; how many bytes from `at` are needed.
- ARRAY_FULL: the array of records is full.
- BAD_LENGTH: a length that no capture has; that length.
- SECTION_HEADER: a Section Header Block.
- INTERFACE_DESCRIPTION: an Interface Description Block.
- SKIPPED_BLOCK: a block without a packet that continues beyond the buffer; its length.
- LENGTH_MISMATCH: the two lengths of a block differ; the second one.
- UNKNOWN_INTERFACE: a packet of an interface that its section does not describe; the length of
  its block.
- PACKET_TOO_LONG: a packet that is longer than its block; the length of the block.
- INTERFACE_STATISTICS: an Interface Statistics Block of at most `MAX_STATISTICS_BLOCK` bytes; its
  length.
"""

_NEEDS_MORE = cython.declare(cython.int, NEEDS_MORE)
_ARRAY_FULL = cython.declare(cython.int, ARRAY_FULL)
_BAD_LENGTH = cython.declare(cython.int, BAD_LENGTH)
_PACKET_TOO_LONG = cython.declare(cython.int, PACKET_TOO_LONG)
_FIELDS = cython.declare(cython.Py_ssize_t, FIELDS)
_TIME = cython.declare(cython.Py_ssize_t, TIME)
_TPACKET3_HEADER = cython.declare(cython.Py_ssize_t, 48)
_VLAN_VALID = cython.declare(cython.longlong, 1 << 4)
_VLAN_TPID_VALID = cython.declare(cython.longlong, 1 << 6)


if not cython.compiled:
    # Compiled, this is the inline function in the .pxd.

    def u32(data: Sequence[int], at: int, big: bool) -> int:
        """Four bytes as a number, in big-endian or little-endian order."""
        a, b, c, d = data[at], data[at + 1], data[at + 2], data[at + 3]
        return a << 24 | b << 16 | c << 8 | d if big else d << 24 | c << 16 | b << 8 | a

    def expect_packet(data: Sequence[int], at: int, end: int, next_one: int) -> None:
        """Prefetch memory that is read soon; does nothing if interpreted."""


def walk_pcap(
    data: cython.const[cython.uchar][::1],
    start: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    records: cython.longlong[::1],
    big: cython.bint,
    nano: cython.bint,
    header: cython.Py_ssize_t,
    limit: cython.longlong,
    lengths: cython.int = 0,
    padding: cython.longlong = 0,
) -> tuple[int, int, int, int]:
    """Find pcap records in ``data[start:end]``; returns (count, at, status, value).

    `header` is the size of a record header, `limit` the largest captured length that is plausible;
    `lengths` and `padding` are as in `netwatch.capture.pcap.Variant`. `at` is the offset of the
    first record that was not read.
    """
    capacity: cython.Py_ssize_t = len(records) // _FIELDS
    at: cython.Py_ssize_t = start
    to: cython.Py_ssize_t = 0
    count: cython.Py_ssize_t = 0
    status: cython.int = _NEEDS_MORE
    value: cython.longlong = 0
    scale: cython.longlong = 1 if nano else 1000
    captured: cython.longlong
    wire: cython.longlong
    with cython.nogil:
        while True:
            if count >= capacity:
                status = _ARRAY_FULL
                break
            if end - at < header:
                value = header
                break
            captured = u32(data, at + 8, big)
            wire = u32(data, at + 12, big)
            if lengths and (lengths == 1 or captured > wire):
                captured, wire = wire, captured
            if captured > limit:
                status = _BAD_LENGTH
                value = captured
                break
            if captured > end - at - header:
                value = header + captured
                break
            to = count * _FIELDS
            records[to] = u32(data, at, big) * 1_000_000_000 + u32(data, at + 4, big) * scale
            records[to + 1] = at + header
            records[to + 2] = captured
            records[to + 3] = captured if captured > wire else wire
            records[to + 4] = 0
            records[to + 5] = -1
            if padding and captured >= padding:
                records[to + 1] += padding
                records[to + 2] -= padding
                records[to + 3] -= padding
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
    """Find `packets` packets in a block of a ring, the first at `start`; returns (count, at,
    status, value) as `walk_pcap` does.

    Each packet begins with a tpacket3_hdr (linux/if_packet.h) in the byte order of the machine,
    which contains the offset of the next one. NEEDS_MORE means here that all packets were found,
    PACKET_TOO_LONG that one is not inside the block.
    """
    capacity: cython.Py_ssize_t = len(records) // _FIELDS
    end: cython.Py_ssize_t = len(data)
    at: cython.Py_ssize_t = start
    to: cython.Py_ssize_t = 0
    count: cython.Py_ssize_t = 0
    status: cython.int = _NEEDS_MORE
    value: cython.longlong = 0
    packet: cython.longlong
    captured: cython.longlong
    wire: cython.longlong
    flags: cython.longlong
    word: cython.longlong
    with cython.nogil:
        while count < packets:
            if count >= capacity:
                status = _ARRAY_FULL
                break
            if at < 0 or end - at < _TPACKET3_HEADER:
                status = _PACKET_TOO_LONG
                break
            value = u32(data, at, big)
            expect_packet(data, at, end, at + 2 * value)
            captured = u32(data, at + 12, big)
            wire = u32(data, at + 16, big)
            flags = u32(data, at + 20, big)
            word = u32(data, at + 24, big)  # tp_mac and tp_net, 16 bits each
            packet = (word >> 16) if big else (word & 0xFFFF)
            if packet < _TPACKET3_HEADER or packet + captured > end - at:
                status = _PACKET_TOO_LONG
                break
            to = count * _FIELDS
            records[to] = u32(data, at + 4, big) * 1_000_000_000 + u32(data, at + 8, big)
            records[to + 1] = at + packet
            records[to + 2] = captured
            records[to + 3] = captured if captured > wire else wire
            records[to + 4] = 0
            records[to + 5] = -1
            if flags & _VLAN_VALID:
                records[to + 5] = u32(data, at + 32, big) & 0xFFFF
                if flags & _VLAN_TPID_VALID:
                    word = u32(data, at + 36, big)
                    word = (word >> 16) if big else (word & 0xFFFF)
                    records[to + 5] |= word << 16
            count += 1
            at += value
            if value == 0 and count < packets:
                status = _PACKET_TOO_LONG
                break
    return count, at, status, 0


def latest_time(records: cython.longlong[::1], count: cython.Py_ssize_t) -> int:
    """The latest time of the first `count` records, ns since the epoch; `count` is 1 or more."""
    latest: cython.longlong = records[_TIME]
    i: cython.Py_ssize_t
    with cython.nogil:
        for i in range(1, count):
            if records[i * _FIELDS + _TIME] > latest:
                latest = records[i * _FIELDS + _TIME]
    return latest
