# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# mypy: disable-error-code="import-untyped,untyped-decorator,valid-type"
"""Finds the packets in the blocks of pcapng, as `netwatch.capture.framing` those of pcap.

pcapng is draft-ietf-opsawg-pcapng. Offsets are in bytes from the start of the buffer, times
in ns since the epoch, UTC.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

from netwatch.capture.block import FIELDS
from netwatch.capture.framing import (
    DESCRIPTION,
    DISAGREE,
    FULL,
    IMPLAUSIBLE,
    MISFIT,
    MORE,
    PASS,
    SECTION,
    STATISTICS,
    UNKNOWN,
)

if cython.compiled:
    from cython.cimports.netwatch.capture.framing import u32
else:
    from netwatch.capture.framing import u32

LONGEST_STATISTICS = 4096
"""Bytes of an Interface Statistics Block that is read; a longer one is passed over."""

CLOCK_FIELDS = 5
"""Integers an interface in `clocks`: largest captured length (bytes), where Simple Packet
Blocks are cut (bytes), unit of its time stamps, what is added to them (ns), and, counted up
here, how many packets those that were found say were lost before them. Unit n >= 0 is
10^-n s, -1 - n is 2^-n s, and NO_CLOCK says that no time can be told."""

NO_CLOCK = -1000

_MORE = cython.declare(cython.int, MORE)
_FULL = cython.declare(cython.int, FULL)
_IMPLAUSIBLE = cython.declare(cython.int, IMPLAUSIBLE)
_SECTION = cython.declare(cython.int, SECTION)
_DESCRIPTION = cython.declare(cython.int, DESCRIPTION)
_PASS = cython.declare(cython.int, PASS)
_DISAGREE = cython.declare(cython.int, DISAGREE)
_UNKNOWN = cython.declare(cython.int, UNKNOWN)
_MISFIT = cython.declare(cython.int, MISFIT)
_STATISTICS = cython.declare(cython.int, STATISTICS)
_FIELDS = cython.declare(cython.Py_ssize_t, FIELDS)
_CLOCK_FIELDS = cython.declare(cython.Py_ssize_t, CLOCK_FIELDS)
_NO_CLOCK = cython.declare(cython.longlong, NO_CLOCK)
_LONGEST_STATISTICS = cython.declare(cython.longlong, LONGEST_STATISTICS)
_EPB_DROPCOUNT = cython.declare(cython.longlong, 4)
_LAST = cython.declare(cython.ulonglong, 0x7FFF_FFFF_FFFF_FFFF)
_SECOND = cython.declare(cython.ulonglong, 1_000_000_000)
_SECTION_HEADER = cython.declare(cython.longlong, 0x0A0D0D0A)
_INTERFACE_DESCRIPTION = cython.declare(cython.longlong, 1)
_OBSOLETE_PACKET = cython.declare(cython.longlong, 2)
_SIMPLE_PACKET = cython.declare(cython.longlong, 3)
_INTERFACE_STATISTICS = cython.declare(cython.longlong, 5)
_ENHANCED_PACKET = cython.declare(cython.longlong, 6)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _nanoseconds(
    ticks: cython.ulonglong, unit: cython.longlong, offset: cython.longlong
) -> cython.longlong:
    """A time stamp in ns, -1 where it is before 1970 or does not fit 63 bits."""
    factor: cython.ulonglong = 1
    whole: cython.ulonglong = 0
    part: cython.ulonglong = ticks
    shift: cython.longlong = -1 - unit
    if unit == _NO_CLOCK:
        return -1
    if unit >= 0:
        if unit <= 9:
            while unit < 9:
                factor = factor * 10
                unit += 1
            if ticks > _LAST // factor:
                return -1
            part = ticks * factor
        elif unit > 28:  # 2^64 units are less than a nanosecond
            part = 0
        else:
            while unit > 9:
                factor = factor * 10
                unit -= 1
            part = ticks // factor
    else:
        if shift < 64:
            whole = ticks >> shift
            part = ticks - (whole << shift)
        # A part of 34 bits times 10^9 fits 64 bits, and what is cut off is below 0.1 ns.
        if shift >= 98:
            part = 0
            shift = 34
        elif shift > 34:
            part = part >> (shift - 34)
            shift = 34
        if whole > _LAST // _SECOND:
            return -1
        part = whole * _SECOND + ((part * _SECOND) >> shift)
    if part > _LAST or (offset > 0 and part > _LAST - cython.cast(cython.ulonglong, offset)):
        return -1
    if offset < 0 and part < cython.cast(cython.ulonglong, -offset):
        return -1
    return cython.cast(cython.longlong, part) + offset


@cython.cfunc
@cython.nogil
@cython.exceptval(-1, check=True)
def _lost(
    data: cython.const[cython.uchar][::1],
    at: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    big: cython.bint,
) -> cython.longlong:
    """Packets that were lost before one, by the option epb_dropcount among those in
    ``data[at:end]`` (section 4.3); a number beyond 32 bits is not believed."""
    code: cython.longlong
    size: cython.longlong
    high: cython.longlong
    while end - at >= 12:
        size = u32(data, at, big)
        code = size >> 16 if big else size & 0xFFFF
        size = size & 0xFFFF if big else size >> 16
        if code == 0:
            break
        if code == _EPB_DROPCOUNT and size == 8:
            high = u32(data, at + (4 if big else 8), big)
            return u32(data, at + (8 if big else 4), big) if high == 0 else 0
        at += 4 + ((cython.cast(cython.Py_ssize_t, size) + 3) & ~3)
    return 0


def walk_pcapng(
    data: cython.const[cython.uchar][::1],
    start: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    records: cython.longlong[::1],
    big: cython.bint,
    clocks: cython.longlong[::1],
    most: cython.longlong,
) -> tuple[int, int, int, int, int]:
    """Find the packets of pcapng blocks in ``data[start:end]``; returns (count, at,
    status, value, timeless).

    `clocks` holds CLOCK_FIELDS integers for each interface of the section, `most` is the
    largest block with a packet that is taken for plausible (bytes). `timeless` counts
    packets that have no time stamp or none that can be told; their time is 0.
    """
    capacity: cython.Py_ssize_t = len(records) // _FIELDS
    interfaces: cython.Py_ssize_t = len(clocks) // _CLOCK_FIELDS
    at: cython.Py_ssize_t = start
    packet: cython.Py_ssize_t = 0
    to: cython.Py_ssize_t = 0
    clock: cython.Py_ssize_t = 0
    count: cython.Py_ssize_t = 0
    timeless: cython.Py_ssize_t = 0
    status: cython.int = _MORE
    value: cython.longlong = 0
    kind: cython.longlong
    length: cython.longlong
    interface: cython.longlong
    captured: cython.longlong
    wire: cython.longlong
    room: cython.longlong
    time: cython.longlong
    lost: cython.longlong
    with cython.nogil:
        while True:
            if count >= capacity:
                status = _FULL
                break
            if end - at < 12:
                value = 12
                break
            kind = u32(data, at, big)
            if kind == _SECTION_HEADER:
                status = _SECTION
                break
            if kind == _INTERFACE_DESCRIPTION:
                status = _DESCRIPTION
                break
            length = u32(data, at + 4, big)
            value = length
            if length < 12 or length % 4 != 0:
                status = _IMPLAUSIBLE
                break
            if kind == _INTERFACE_STATISTICS and length <= _LONGEST_STATISTICS:
                status = _STATISTICS
                break
            if kind != _ENHANCED_PACKET and kind != _SIMPLE_PACKET and kind != _OBSOLETE_PACKET:
                if length > end - at:
                    status = _PASS
                    break
                value = u32(data, at + length - 4, big)
                if value != length:
                    status = _DISAGREE
                    break
                at += length
                continue
            if length > most or length < (16 if kind == _SIMPLE_PACKET else 32):
                status = _IMPLAUSIBLE
                break
            if length > end - at:
                break
            value = u32(data, at + length - 4, big)
            if value != length:
                status = _DISAGREE
                break
            lost = 0
            if kind == _SIMPLE_PACKET:
                interface = 0
                packet = at + 12
                room = length - 16
                wire = u32(data, at + 8, big)
            else:
                interface = u32(data, at + 8, big)
                if kind == _OBSOLETE_PACKET:  # interface and drop count, 16 bits each
                    lost = (interface & 0xFFFF) if big else (interface >> 16)
                    if lost == 0xFFFF:  # nobody knows
                        lost = 0
                    interface = (interface >> 16) if big else (interface & 0xFFFF)
                packet = at + 28
                room = length - 32
                wire = u32(data, at + 24, big)
            if interface >= interfaces:
                status = _UNKNOWN
                break
            clock = cython.cast(cython.Py_ssize_t, interface) * _CLOCK_FIELDS
            if kind == _SIMPLE_PACKET:
                captured = wire if wire < room else room
                if captured > clocks[clock + 1]:
                    captured = clocks[clock + 1]
                time = -1
            else:
                captured = u32(data, at + 20, big)
                time = _nanoseconds(
                    (cython.cast(cython.ulonglong, u32(data, at + 12, big)) << 32)
                    | cython.cast(cython.ulonglong, u32(data, at + 16, big)),
                    clocks[clock + 2],
                    clocks[clock + 3],
                )
            if captured > clocks[clock]:
                status = _IMPLAUSIBLE
                value = captured
                break
            if captured > room:
                status = _MISFIT
                break
            if time < 0:
                time = 0
                timeless += 1
            if kind == _ENHANCED_PACKET:
                lost = _lost(
                    data,
                    packet + ((cython.cast(cython.Py_ssize_t, captured) + 3) & ~3),
                    at + cython.cast(cython.Py_ssize_t, length) - 4,
                    big,
                )
            clocks[clock + 4] += lost
            to = count * _FIELDS
            records[to] = time
            records[to + 1] = packet
            records[to + 2] = captured
            records[to + 3] = captured if captured > wire else wire
            records[to + 4] = interface
            records[to + 5] = -1
            count += 1
            at += length
    return count, at, status, value, timeless
