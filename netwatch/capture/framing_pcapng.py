# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# mypy: disable-error-code="import-untyped,untyped-decorator,valid-type"
"""Finds the packets in the blocks of pcapng, as `netwatch.capture.framing` does in pcap.

pcapng is draft-ietf-opsawg-pcapng, to which section numbers below refer. Offsets are in bytes from
the start of the buffer, times in ns since the epoch, UTC.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.capture.block import FIELDS
from netwatch.capture.framing import (
    ARRAY_FULL,
    BAD_LENGTH,
    INTERFACE_DESCRIPTION,
    INTERFACE_STATISTICS,
    LENGTH_MISMATCH,
    NEEDS_MORE,
    PACKET_TOO_LONG,
    SECTION_HEADER,
    SKIPPED_BLOCK,
    UNKNOWN_INTERFACE,
)

if cython.compiled:
    from cython.cimports.netwatch.capture.framing import u32
else:
    from netwatch.capture.framing import u32

MAX_STATISTICS_BLOCK = 4096
"""Bytes of an Interface Statistics Block to read; a longer one is skipped."""

INTERFACE_FIELDS = 5
"""Integers per interface in `interfaces`: largest captured length (bytes), length at which Simple
Packet Blocks are cut (bytes), unit of its time stamps, offset added to them (ns), and, counted by
the walker, how many packets were lost according to the packet blocks. Unit n >= 0 is 10^-n s,
-1 - n is 2^-n s, and NO_CLOCK means that the time is not known."""

NO_CLOCK = -1000

_PACKET_FOUND = cython.declare(cython.int, -2)
_NEEDS_MORE = cython.declare(cython.int, NEEDS_MORE)
_ARRAY_FULL = cython.declare(cython.int, ARRAY_FULL)
_BAD_LENGTH = cython.declare(cython.int, BAD_LENGTH)
_SECTION_HEADER = cython.declare(cython.int, SECTION_HEADER)
_INTERFACE_DESCRIPTION = cython.declare(cython.int, INTERFACE_DESCRIPTION)
_SKIPPED_BLOCK = cython.declare(cython.int, SKIPPED_BLOCK)
_LENGTH_MISMATCH = cython.declare(cython.int, LENGTH_MISMATCH)
_UNKNOWN_INTERFACE = cython.declare(cython.int, UNKNOWN_INTERFACE)
_PACKET_TOO_LONG = cython.declare(cython.int, PACKET_TOO_LONG)
_INTERFACE_STATISTICS = cython.declare(cython.int, INTERFACE_STATISTICS)
_FIELDS = cython.declare(cython.Py_ssize_t, FIELDS)
_INTERFACE_FIELDS = cython.declare(cython.Py_ssize_t, INTERFACE_FIELDS)
_NO_CLOCK = cython.declare(cython.longlong, NO_CLOCK)
_MAX_STATISTICS_BLOCK = cython.declare(cython.longlong, MAX_STATISTICS_BLOCK)
_EPB_DROPCOUNT = cython.declare(cython.longlong, 4)
_UNKNOWN_DROPS = cython.declare(cython.longlong, 0xFFFF)
_MAX_TIME = cython.declare(cython.ulonglong, 0x7FFF_FFFF_FFFF_FFFF)
_SECOND = cython.declare(cython.ulonglong, 1_000_000_000)

# Block types (section 11.1)
_SHB = cython.declare(cython.longlong, 0x0A0D0D0A)
_IDB = cython.declare(cython.longlong, 1)
_OBSOLETE_PACKET = cython.declare(cython.longlong, 2)
_SIMPLE_PACKET = cython.declare(cython.longlong, 3)
_ISB = cython.declare(cython.longlong, 5)
_ENHANCED_PACKET = cython.declare(cython.longlong, 6)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _decimal_nanoseconds(ticks: cython.ulonglong, unit: cython.longlong) -> cython.ulonglong:
    """Ticks of 10^-unit s in ns, more than _MAX_TIME if they do not fit into 63 bits."""
    factor: cython.ulonglong = 1
    if unit <= 9:
        while unit < 9:
            factor = factor * 10
            unit += 1
        return ticks * factor if ticks <= _MAX_TIME // factor else _MAX_TIME + 1
    if unit > 28:  # 2^64 ticks are less than a nanosecond
        return 0
    while unit > 9:
        factor = factor * 10
        unit -= 1
    return ticks // factor


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _binary_nanoseconds(ticks: cython.ulonglong, shift: cython.longlong) -> cython.ulonglong:
    """Ticks of 2^-shift s in ns, more than _MAX_TIME if they do not fit into 63 bits."""
    seconds: cython.ulonglong = 0
    fraction: cython.ulonglong = ticks
    if shift < 64:
        seconds = ticks >> shift
        fraction = ticks - (seconds << shift)
    # A fraction of 34 bits times 10^9 fits into 64 bits, and what is lost is below 0.1 ns.
    if shift >= 98:
        fraction = 0
        shift = 34
    elif shift > 34:
        fraction = fraction >> (shift - 34)
        shift = 34
    if seconds > _MAX_TIME // _SECOND:
        return _MAX_TIME + 1
    return seconds * _SECOND + ((fraction * _SECOND) >> shift)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _nanoseconds(
    ticks: cython.ulonglong, unit: cython.longlong, offset: cython.longlong
) -> cython.longlong:
    """A time stamp in ns, -1 if it is before 1970 or does not fit into 63 bits."""
    time: cython.ulonglong
    if unit == _NO_CLOCK:
        return -1
    time = _decimal_nanoseconds(ticks, unit) if unit >= 0 else _binary_nanoseconds(ticks, -1 - unit)
    if time > _MAX_TIME or (
        offset > 0 and time > _MAX_TIME - cython.cast(cython.ulonglong, offset)
    ):
        return -1
    if offset < 0 and time < cython.cast(cython.ulonglong, -offset):
        return -1
    return cython.cast(cython.longlong, time) + offset


@cython.final
@cython.cclass
class _Walk:
    """One call of `walk_pcapng`: where it is in the buffer, and what it has found."""

    data: cython.const[cython.uchar][::1]
    records: cython.longlong[::1]
    interfaces: cython.longlong[::1]
    big: cython.bint
    at: cython.Py_ssize_t
    count: cython.Py_ssize_t
    timeless: cython.Py_ssize_t
    value: cython.longlong

    def __init__(
        self,
        data: cython.const[cython.uchar][::1],
        records: cython.longlong[::1],
        interfaces: cython.longlong[::1],
        big: cython.bint,
    ) -> None:
        self.data = data
        self.records = records
        self.interfaces = interfaces
        self.big = big
        self.at = 0
        self.count = 0
        self.timeless = 0
        self.value = 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=True)
    def run(self, end: cython.Py_ssize_t, max_block: cython.longlong) -> cython.int:
        """Go from block to block; returns why it stopped, and sets `value`."""
        capacity: cython.Py_ssize_t = len(self.records) // _FIELDS
        kind: cython.longlong
        length: cython.longlong
        has_packet: cython.bint
        status: cython.int
        while True:
            if self.count >= capacity:
                return _ARRAY_FULL
            if end - self.at < 12:
                self.value = 12
                return _NEEDS_MORE
            kind = u32(self.data, self.at, self.big)
            if kind == _SHB:
                return _SECTION_HEADER
            if kind == _IDB:
                return _INTERFACE_DESCRIPTION
            length = u32(self.data, self.at + 4, self.big)
            self.value = length
            if length < 12 or length % 4 != 0:
                return _BAD_LENGTH
            if kind == _ISB and length <= _MAX_STATISTICS_BLOCK:
                return _INTERFACE_STATISTICS
            has_packet = kind in (_ENHANCED_PACKET, _SIMPLE_PACKET, _OBSOLETE_PACKET)
            if has_packet and (
                length > max_block or length < (16 if kind == _SIMPLE_PACKET else 32)
            ):
                return _BAD_LENGTH
            if length > end - self.at:
                return _NEEDS_MORE if has_packet else _SKIPPED_BLOCK
            self.value = u32(self.data, self.at + length - 4, self.big)
            if self.value != length:
                return _LENGTH_MISMATCH
            if has_packet:
                status = self.simple(length) if kind == _SIMPLE_PACKET else self.timed(kind, length)
                if status != _PACKET_FOUND:
                    return status
            self.at += length

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=True)
    def simple(self, length: cython.longlong) -> cython.int:
        """A Simple Packet Block (section 4.4): always from the first interface, without a time, and
        cut at the snap length of the interface."""
        wire: cython.longlong
        captured: cython.longlong
        if len(self.interfaces) == 0:
            return _UNKNOWN_INTERFACE
        wire = u32(self.data, self.at + 8, self.big)
        captured = length - 16
        if wire < captured:
            captured = wire
        if captured > self.interfaces[1]:
            captured = self.interfaces[1]
        if captured > self.interfaces[0]:
            self.value = captured
            return _BAD_LENGTH
        self.write(-1, self.at + 12, captured, wire, 0)
        return _PACKET_FOUND

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=True)
    def timed(self, kind: cython.longlong, length: cython.longlong) -> cython.int:
        """An Enhanced or an obsolete Packet Block (section 4.3 and appendix A)."""
        at: cython.Py_ssize_t = self.at
        interface: cython.longlong = u32(self.data, at + 8, self.big)
        fields: cython.Py_ssize_t
        captured: cython.longlong
        time: cython.longlong
        lost: cython.longlong = 0
        if kind == _OBSOLETE_PACKET:  # interface and drop count, 16 bits each
            lost = (interface & 0xFFFF) if self.big else (interface >> 16)
            if lost == _UNKNOWN_DROPS:
                lost = 0
            interface = (interface >> 16) if self.big else (interface & 0xFFFF)
        fields = cython.cast(cython.Py_ssize_t, interface) * _INTERFACE_FIELDS
        if fields >= len(self.interfaces):
            return _UNKNOWN_INTERFACE
        captured = u32(self.data, at + 20, self.big)
        if captured > self.interfaces[fields]:
            self.value = captured
            return _BAD_LENGTH
        if captured > length - 32:
            return _PACKET_TOO_LONG
        time = _nanoseconds(
            (cython.cast(cython.ulonglong, u32(self.data, at + 12, self.big)) << 32)
            | cython.cast(cython.ulonglong, u32(self.data, at + 16, self.big)),
            self.interfaces[fields + 2],
            self.interfaces[fields + 3],
        )
        if kind == _ENHANCED_PACKET:
            lost = self.lost_before(
                at + 28 + ((cython.cast(cython.Py_ssize_t, captured) + 3) & ~3),
                at + cython.cast(cython.Py_ssize_t, length) - 4,
            )
        self.interfaces[fields + 4] += lost
        self.write(time, at + 28, captured, u32(self.data, at + 24, self.big), interface)
        return _PACKET_FOUND

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=True)
    def lost_before(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
        """How many packets were lost before this one, from epb_dropcount among its options in
        ``data[at:end]`` (section 4.3); a number of more than 32 bits is ignored."""
        code: cython.longlong
        size: cython.longlong
        high: cython.longlong
        while end - at >= 12:
            size = u32(self.data, at, self.big)
            code = size >> 16 if self.big else size & 0xFFFF
            size = size & 0xFFFF if self.big else size >> 16
            if code == 0:
                break
            if code == _EPB_DROPCOUNT and size == 8:
                high = u32(self.data, at + (4 if self.big else 8), self.big)
                return u32(self.data, at + (8 if self.big else 4), self.big) if high == 0 else 0
            at += 4 + ((cython.cast(cython.Py_ssize_t, size) + 3) & ~3)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=True)
    def write(
        self,
        time: cython.longlong,
        packet: cython.Py_ssize_t,
        captured: cython.longlong,
        wire: cython.longlong,
        interface: cython.longlong,
    ) -> cython.int:
        """Write the record of a packet; a negative time is not known and written as 0."""
        to: cython.Py_ssize_t = self.count * _FIELDS
        if time < 0:
            time = 0
            self.timeless += 1
        self.records[to] = time
        self.records[to + 1] = packet
        self.records[to + 2] = captured
        self.records[to + 3] = captured if captured > wire else wire
        self.records[to + 4] = interface
        self.records[to + 5] = -1
        self.count += 1
        return 0


def walk_pcapng(
    data: cython.const[cython.uchar][::1],
    start: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    records: cython.longlong[::1],
    big: cython.bint,
    interfaces: cython.longlong[::1],
    max_block: cython.longlong,
) -> tuple[int, int, int, int, int]:
    """Find the packets of pcapng blocks in ``data[start:end]``; returns (count, at, status, value,
    timeless).

    `interfaces` has INTERFACE_FIELDS integers for each interface of the section, `max_block` is
    the largest block with a packet that is plausible (bytes). `timeless` counts packets without
    a time stamp, or with one that cannot be converted; their time is 0.
    """
    walk: _Walk = _Walk(data, records, interfaces, big)
    status: cython.int
    walk.at = start
    with cython.nogil:
        status = walk.run(end, max_block)
    return walk.count, walk.at, status, walk.value, walk.timeless
