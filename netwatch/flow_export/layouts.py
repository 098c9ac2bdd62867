# cython: language_level=3, boundscheck=True, wraparound=False
"""How the records of a template are read: where each value is, found once for all its records, or
for each record where fields vary in length (RFC 7011 section 7).

A record with times before or after any that it can have seen is counted with its exporter, and
left out.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core.buffers import bytes_at
    from cython.cimports.netwatch.flow_export.records import FlowRecord
else:
    from netwatch.core.buffers import bytes_at
    from netwatch.flow_export.records import FlowRecord

from netwatch.core.buffers import Octets, Words, array
from netwatch.flow_export.elements import (
    MICROSECONDS_BEFORE,
    VARIABLE,
    Field,
    Values,
    chosen,
)

if TYPE_CHECKING:
    from netwatch.flow_export.exporters import Exporter

EARLIEST = 946_684_800_000_000_000
"""The year 2000: an exporter with an earlier time has no clock, ns since the epoch."""

AHEAD = 60_000_000_000
"""How far behind its export a flow may end, ns, since exporters round."""

LONGEST = 0xFFFF
"""Bytes of a record, whose message has no more."""

Found = list["FlowRecord"]
"""The flows that a message has."""

_UNITS = ("", "ntp", "milliseconds", MICROSECONDS_BEFORE, "seconds", "uptime")
_NTP = cython.declare(cython.int, 1)
_MILLISECONDS = cython.declare(cython.int, 2)
_BEFORE = cython.declare(cython.int, 3)
_SECONDS = cython.declare(cython.int, 4)
_UPTIME = cython.declare(cython.int, 5)

_NAMES = Values._fields
_COUNT = cython.declare(cython.Py_ssize_t, len(Values._fields))
_SOURCE = cython.declare(cython.Py_ssize_t, _NAMES.index("source"))
_DESTINATION = cython.declare(cython.Py_ssize_t, _NAMES.index("destination"))
_SOURCE_PORT = cython.declare(cython.Py_ssize_t, _NAMES.index("source_port"))
_DESTINATION_PORT = cython.declare(cython.Py_ssize_t, _NAMES.index("destination_port"))
_PROTOCOL = cython.declare(cython.Py_ssize_t, _NAMES.index("protocol"))
_STARTED = cython.declare(cython.Py_ssize_t, _NAMES.index("started"))
_ENDED = cython.declare(cython.Py_ssize_t, _NAMES.index("ended"))
_OCTETS = cython.declare(cython.Py_ssize_t, _NAMES.index("octets"))
_PACKETS = cython.declare(cython.Py_ssize_t, _NAMES.index("packets"))
_REVERSE_OCTETS = cython.declare(cython.Py_ssize_t, _NAMES.index("reverse_octets"))
_REVERSE_PACKETS = cython.declare(cython.Py_ssize_t, _NAMES.index("reverse_packets"))
_TCP_FLAGS = cython.declare(cython.Py_ssize_t, _NAMES.index("tcp_flags"))
_REVERSE_TCP_FLAGS = cython.declare(cython.Py_ssize_t, _NAMES.index("reverse_tcp_flags"))
_VLAN = cython.declare(cython.Py_ssize_t, _NAMES.index("vlan"))
_SOURCE_MAC = cython.declare(cython.Py_ssize_t, _NAMES.index("source_mac"))
_BOOT_TIME = cython.declare(cython.Py_ssize_t, _NAMES.index("boot_time"))
_DURATION = cython.declare(cython.Py_ssize_t, _NAMES.index("duration"))
_SAMPLER = cython.declare(cython.Py_ssize_t, _NAMES.index("sampler"))
_INTERVAL = cython.declare(cython.Py_ssize_t, _NAMES.index("sampling_interval"))
_SPACE = cython.declare(cython.Py_ssize_t, _NAMES.index("sampling_space"))
_DIRECTION = cython.declare(cython.Py_ssize_t, _NAMES.index("biflow_direction"))
_TEXTS = frozenset({_SOURCE, _DESTINATION, _SOURCE_MAC})

_MILLISECOND = cython.declare(cython.longlong, 1_000_000)
_SECOND = cython.declare(cython.longlong, 1_000_000_000)
_NTP_EPOCH = cython.declare(cython.longlong, 2_208_988_800)
_AHEAD = cython.declare(cython.longlong, AHEAD)
_NEVER = cython.declare(cython.longlong, -1)
_SMALL = cython.declare(cython.ulonglong, (1 << 31) - 1)
_LARGE = cython.declare(cython.ulonglong, 1 << 62)
_FULL = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)
# No clock of an exporter is beyond this year 2115 in units of ms, nor has it lasted so long.
_MAX_MILLISECONDS = cython.declare(cython.ulonglong, 4_600_000_000_000)
_UPTIME_AROUND = cython.declare(cython.longlong, (1 << 32) * 1_000_000)
_VARIABLE = cython.declare(cython.longlong, VARIABLE)
_NOTHING = b""


@cython.final
@cython.cclass
class Layout:
    """The records of a template. `clock` is the unit of their times, empty where they have none,
    and `size` the length of a record in bytes, the shortest where it varies.

    Raises `ValueError` where a record would have no bytes, or more than `LONGEST`.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = tuple(fields)
        lengths = [field.length for field in self.fields]
        self.is_fixed = VARIABLE not in lengths
        self.size = sum(1 if length == VARIABLE else length for length in lengths)
        if not 0 < self.size <= LONGEST:
            raise ValueError("a record has no bytes, or too many")
        self.clock, names = chosen(self.fields)
        self.unit = _UNITS.index(self.clock)
        self.count = len(lengths)
        places = [_NAMES.index(names[at]) if at in names else -1 for at in range(len(lengths))]
        self.lengths: Words = array("q", lengths)
        self.places: Words = array("q", places)
        # Where each of the values begins, from the start of a record, or of the set where fields
        # vary in length; and its bytes, -1 for one that no field has.
        self.starts: Words = array("q", bytes(8 * len(_NAMES)))
        self.sizes: Words = array("q", [-1] * len(_NAMES))
        start = 0
        for length, place in zip(lengths, places, strict=True):
            if place >= 0:
                self.starts[place], self.sizes[place] = start, length
            start += length
        self.has_addresses = self.sizes[_SOURCE] == self.sizes[_DESTINATION] >= 0
        self.is_biflow = self.sizes[_REVERSE_OCTETS] >= 0 or self.sizes[_REVERSE_PACKETS] >= 0
        self.data = _NOTHING
        self.octets: Octets = _NOTHING
        self.first = self.last = 0
        self.earliest = self.latest = EARLIEST

    def flows(
        self,
        data: bytes,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        sent: cython.longlong,
        started: cython.longlong,
        earliest: cython.longlong,
        latest: cython.longlong,
        exporter: "Exporter",
        found: "Found",
    ) -> cython.Py_ssize_t:
        """Add the flows of the set ``data[at:end]`` to `found`, and tell how many records it has.
        Its end may be padding that is shorter than a record. It was sent at `sent` by an exporter
        that had been started at `started` (ns since the epoch, 0 if its message does not say); no
        time in it is before `earliest`, and none of a clock that does not depend on that of its
        message much after `latest`."""
        record: FlowRecord
        sampling: cython.longlong = 0
        base: cython.Py_ssize_t
        count: cython.Py_ssize_t = 0
        is_alike: cython.bint = (
            self.sizes[_SAMPLER] < 0 and self.sizes[_INTERVAL] < 0 and self.sizes[_SPACE] < 0
        )
        has_boot_time: cython.bint = self.sizes[_BOOT_TIME] >= 0
        since: cython.longlong = started
        if not started and not has_boot_time:
            since = _boot_time(exporter.boot_time or 0)
        self.data = self.octets = data
        self.earliest, self.latest = earliest, latest
        while end - at >= self.size:
            base = at if self.is_fixed else 0
            at = self.next_of(at, end)
            if at < 0:
                exporter.counts["flow-record-cut"] += 1
                break
            count += 1
            if not self.has_addresses:
                exporter.counts["flow-address-missing"] += 1
                continue
            if has_boot_time and not started:
                since = _boot_time(self.number(base, _BOOT_TIME) or exporter.boot_time or 0)
            if not self.find_times(base, sent, since):
                exporter.impossible += 1
                continue
            record = FlowRecord.__new__(FlowRecord)
            self.fill(record, base)
            if not sampling or not is_alike:
                sampling = self.interval(base, exporter)
            record.sampling = sampling
            found.append(record)
        self.data = self.octets = _NOTHING
        return count

    def options(
        self, data: bytes, at: cython.Py_ssize_t, end: cython.Py_ssize_t, exporter: "Exporter"
    ) -> list[Values]:
        """What the records of the set ``data[at:end]`` say that are no flows."""
        base: cython.Py_ssize_t
        found = []
        self.data = self.octets = data
        while end - at >= self.size:
            base = at if self.is_fixed else 0
            at = self.next_of(at, end)
            if at < 0:
                exporter.counts["flow-record-cut"] += 1
                break
            found.append(self.values(base))
        self.data = self.octets = _NOTHING
        return found

    def next_of(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the record behind the one at a place begins, -1 if that exceeds its set."""
        return at + self.size if self.is_fixed else self.divide(at, end)

    def divide(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Find the values of a record whose fields vary in length, and where it ends."""
        field: cython.Py_ssize_t
        length: cython.Py_ssize_t
        place: cython.Py_ssize_t
        for field in range(self.count):
            length = self.lengths[field]
            if length == _VARIABLE:
                if at >= end:
                    return -1
                length = self.octets[at]
                at += 1
                if length == 255:
                    if at + 2 > end:
                        return -1
                    length = self.octets[at] << 8 | self.octets[at + 1]
                    at += 2
            if at + length > end:
                return -1
            place = self.places[field]
            if place >= 0:
                self.starts[place], self.sizes[place] = at, length
            at += length
        return at

    def number(self, base: cython.Py_ssize_t, place: cython.Py_ssize_t) -> cython.ulonglong:
        """The number that a value is (RFC 7011 section 6.2), 0 where there is none; one that has
        more than 64 bits is the greatest of these."""
        value: cython.ulonglong = 0
        at: cython.Py_ssize_t = base + self.starts[place]
        end: cython.Py_ssize_t = at + self.sizes[place]
        while at < end:
            if value >> 56:
                return _FULL
            value = value << 8 | self.octets[at]
            at += 1
        return value

    def text(self, base: cython.Py_ssize_t, place: cython.Py_ssize_t) -> bytes:
        """The bytes of a value."""
        return bytes_at(self.data, base + self.starts[place], self.sizes[place])

    def values(self, base: cython.Py_ssize_t) -> Values:
        """All that is at a place."""
        place: cython.Py_ssize_t
        found: list[bytes | int | None] = [None] * _COUNT
        for place in range(_COUNT):
            found[place] = self.value(base, place)
        return Values._make(found)

    def value(self, base: cython.Py_ssize_t, place: cython.Py_ssize_t) -> bytes | int | None:
        """A value, None where there is none."""
        if self.sizes[place] < 0:
            return None
        return self.text(base, place) if place in _TEXTS else self.number(base, place)

    def small(self, base: cython.Py_ssize_t, place: cython.Py_ssize_t) -> cython.int:
        """A number, at most what fits into 31 bits."""
        return min(self.number(base, place), _SMALL)

    def count_at(self, base: cython.Py_ssize_t, place: cython.Py_ssize_t) -> cython.longlong:
        """A counter, at most what fits into 62 bits."""
        return min(self.number(base, place), _LARGE)

    def fill(self, record: FlowRecord, base: cython.Py_ssize_t) -> cython.void:
        """Fill a flow record with what is at a place."""
        source_port: cython.int = self.small(base, _SOURCE_PORT)
        destination_port: cython.int = self.small(base, _DESTINATION_PORT)
        octets: cython.longlong = self.count_at(base, _OCTETS)
        packets: cython.longlong = self.count_at(base, _PACKETS)
        back_octets: cython.longlong = self.count_at(base, _REVERSE_OCTETS)
        back_packets: cython.longlong = self.count_at(base, _REVERSE_PACKETS)
        flags: cython.int = self.small(base, _TCP_FLAGS)
        back_flags: cython.int = self.small(base, _REVERSE_TCP_FLAGS)
        vlan: cython.int = self.small(base, _VLAN)
        record.first, record.last = self.first, self.last
        record.protocol, record.is_biflow = self.small(base, _PROTOCOL), self.is_biflow
        record.vlan = vlan if vlan else -1
        if self.is_biflow and self.number(base, _DIRECTION) == 2:
            # The destination has opened it (RFC 5103 section 6.3).
            record.source = self.text(base, _DESTINATION)
            record.destination = self.text(base, _SOURCE)
            record.source_port, record.destination_port = destination_port, source_port
            record.octets, record.packets, record.tcp_flags = back_octets, back_packets, back_flags
            record.reverse_octets, record.reverse_packets = octets, packets
            record.reverse_tcp_flags = flags
            record.source_mac = None
            return
        record.source = self.text(base, _SOURCE)
        record.destination = self.text(base, _DESTINATION)
        record.source_port, record.destination_port = source_port, destination_port
        record.octets, record.packets, record.tcp_flags = octets, packets, flags
        record.reverse_octets, record.reverse_packets = back_octets, back_packets
        record.reverse_tcp_flags = back_flags
        record.source_mac = self.text(base, _SOURCE_MAC) if self.sizes[_SOURCE_MAC] >= 0 else None

    def interval(self, base: cython.Py_ssize_t, exporter: "Exporter") -> cython.longlong:
        """Of how many packets one was looked at for a record."""
        space: cython.ulonglong = self.number(base, _SPACE)
        interval: cython.ulonglong = self.number(base, _INTERVAL)
        interval = min(interval, _LARGE) if interval else 1
        if self.sizes[_SPACE] >= 0:
            interval = (interval + min(space, _LARGE)) // interval
        said = exporter.sampling(self.value(base, _SAMPLER))  # type: ignore[arg-type]
        return min(max(said, interval), _LARGE)

    def find_times(
        self, base: cython.Py_ssize_t, sent: cython.longlong, started: cython.longlong
    ) -> cython.bint:
        """Find the first and the last time of a flow; false where they are impossible: it ends
        before it begins, or at a time at which it cannot have been seen."""
        duration: cython.longlong = 0
        latest: cython.longlong
        has_first: cython.bint = self.sizes[_STARTED] >= 0
        has_last: cython.bint = self.sizes[_ENDED] >= 0
        if self.sizes[_DURATION] >= 0:
            if self.number(base, _DURATION) > _MAX_MILLISECONDS:
                return False
            duration = cython.cast(cython.longlong, self.number(base, _DURATION)) * _MILLISECOND
        if not self.unit:
            # It has no times of its own: it was exported when it ended.
            self.first, self.last = sent - duration, sent
            return self.first >= self.earliest
        if not (has_first or has_last) or (self.unit == _UPTIME and not started):
            return False
        place: cython.Py_ssize_t = _STARTED if has_first else _ENDED
        self.first = self.last = self.time(self.number(base, place), sent, started)
        if has_first and has_last:
            self.last = self.time(self.number(base, _ENDED), sent, started)
        if self.first == self.last:
            self.last += duration
        latest = sent if self.unit in (_UPTIME, _BEFORE) else self.latest
        return self.earliest <= self.first <= self.last <= latest + _AHEAD

    def time(
        self, value: cython.ulonglong, sent: cython.longlong, started: cython.longlong
    ) -> cython.longlong:
        """A time of a record in ns since the epoch, `_NEVER` for one that is beyond all."""
        time: cython.longlong
        if self.unit == _NTP:
            time = cython.cast(cython.longlong, value >> 32) - _NTP_EPOCH
            return time * _SECOND + cython.cast(
                cython.longlong, (value & 0xFFFFFFFF) * 1_000_000_000 >> 32
            )
        if value > _MAX_MILLISECONDS and self.unit != _BEFORE:
            return _NEVER
        if self.unit == _SECONDS:
            return cython.cast(cython.longlong, value) * _SECOND if value <= 0xFFFFFFFF else _NEVER
        if self.unit == _BEFORE:
            if value > cython.cast(cython.ulonglong, sent // 1000):
                return _NEVER
            return sent - cython.cast(cython.longlong, value) * 1000
        time = cython.cast(cython.longlong, value) * _MILLISECOND
        if self.unit == _UPTIME:
            # The uptime has 32 bits of milliseconds, and begins again after 49.7 days.
            time += started
            if time > sent + _UPTIME_AROUND // 2:
                time -= _UPTIME_AROUND
        return time


def _boot_time(milliseconds: int) -> int:
    """When an exporter was started by what it says, ns since the epoch."""
    return min(milliseconds, _MAX_MILLISECONDS) * _MILLISECOND
