"""Messages of NetFlow v5 and v9 and of IPFIX: bytes in, flow records out.

A message of NetFlow v9 (RFC 3954 section 5) and of IPFIX (RFC 7011 section 3) is a header and sets:
templates, options templates, and data that a template of the same exporter lays out. One of NetFlow
v5 has up to 30 records of one layout. Whatever is wrong within a message is counted with its
exporter, and the sets behind it are read as far as their lengths allow.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from netwatch.core.errors import ParseError
from netwatch.flow_export import FlowRecord
from netwatch.flow_export.elements import MAX_FIELDS, MICROSECONDS_BEFORE, Field, Layout, Values
from netwatch.flow_export.exporters import Exporter

MAX_DOMAINS = 64
"""Observation domains of one sender that are known at a time."""

EARLIEST = 946_684_800_000_000_000
"""The year 2000: an exporter with an earlier time has no clock, ns since the epoch."""

AHEAD = 60_000_000_000
"""How far behind its export a flow may end, ns, since exporters round."""

_MILLISECOND = 1_000_000
_SECOND = 1_000_000_000
_V5_HEAD = struct.Struct(">HHIIIIBBH")
_V5_RECORD = struct.Struct(">4s4s8xIIIIHHxBBx8x")
_V9_HEAD = struct.Struct(">HHIIII")
_IPFIX_HEAD = struct.Struct(">HHIII")
_NTP_EPOCH = 2_208_988_800


class Message(NamedTuple):
    """The header of a message: its version (5, 9, 10), the number of its exporter, its sequence
    number, when it was sent (ns since the epoch), when the exporter had been started (ns, 0 where
    the message does not say), and where its sets begin and end. No time in it is before
    `earliest`."""

    version: int
    domain: int
    sequence: int
    sent: int
    started: int
    at: int
    end: int
    earliest: int = EARLIEST


def head(data: bytes) -> Message:
    """The header of a message. Raises `ParseError`."""
    if len(data) < 16:
        raise ParseError("flow-message-cut")
    version = int.from_bytes(data[:2])
    if version == 10:
        _, length, seconds, sequence, domain = _IPFIX_HEAD.unpack_from(data)
        if not 16 <= length <= len(data):
            raise ParseError("flow-message-cut")
        return Message(10, domain, sequence, seconds * _SECOND, 0, 16, length)
    if version == 9 and len(data) >= 20:
        _, _, uptime, seconds, sequence, domain = _V9_HEAD.unpack_from(data)
        sent = seconds * _SECOND
        return Message(9, domain, sequence, sent, sent - uptime * _MILLISECOND, 20, len(data))
    if version == 5 and len(data) >= 24:
        _, count, uptime, seconds, nanoseconds, sequence, kind, engine, _ = _V5_HEAD.unpack_from(
            data
        )
        end = 24 + 48 * count
        if end > len(data):
            raise ParseError("flow-message-cut")
        sent = seconds * _SECOND + min(nanoseconds, _SECOND - 1)
        started = sent - uptime * _MILLISECOND
        return Message(5, kind << 8 | engine, sequence, sent, started, 24, end)
    raise ParseError("flow-message-cut" if version in (5, 9) else "flow-version")


class FlowDecoder:
    """Reads the messages of one sender, which may have several observation domains. What cannot be
    counted with an exporter is in `counts`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.exporters: dict[tuple[int, int], Exporter] = {}

    def read(self, data: bytes, shift: int = 0) -> Iterator[FlowRecord]:
        """The records of a message, by the clock of its exporter, to which `shift` ns will be
        added. Raises `ParseError` where it is none."""
        message = head(data)
        if shift:
            message = message._replace(earliest=EARLIEST - shift)
        exporter = self._exporter(message)
        if message.version == 5:
            yield from _records_of_v5(data, message, exporter)
            return
        counted = 0
        for number, body in _sets(data, message, exporter):
            if number >= 256:
                for record in _data(message, exporter, number, body):
                    counted += 1
                    if record is not None:
                        yield record
            else:
                _templates(message, exporter, number, body)
        if message.version == 9:
            uptime = (message.sent - message.started) // _MILLISECOND
            exporter.follow(message.sequence, 1, uptime)
        else:
            exporter.follow(message.sequence, counted)

    def anomalies(self) -> Counter[str]:
        """What was wrong with messages so far, of all exporters."""
        total = Counter(self.counts)
        for exporter in self.exporters.values():
            total.update(exporter.anomalies())
        return total

    def _exporter(self, message: Message) -> Exporter:
        key = message.version, message.domain
        exporter = self.exporters.get(key)
        if exporter is None:
            if len(self.exporters) >= MAX_DOMAINS:
                # Forget the oldest but for what it has counted.
                oldest = self.exporters.pop(next(iter(self.exporters)))
                self.counts.update(oldest.anomalies())
                self.counts["flow-exporters-full"] += 1
            exporter = self.exporters[key] = Exporter()
        return exporter


def _records_of_v5(data: bytes, message: Message, exporter: Exporter) -> Iterator[FlowRecord]:
    interval = int.from_bytes(data[22:24]) & 0x3FFF
    if interval > 1:
        exporter.note_sampler(0, interval)
    count = (message.end - message.at) // 48
    exporter.follow(message.sequence, count, (message.sent - message.started) // _MILLISECOND)
    sampling = exporter.sampling(None)
    for found in _V5_RECORD.iter_unpack(memoryview(data)[message.at : message.end]):
        source, destination, packets, octets, first, last, sport, dport, flags, protocol = found
        times = _times(message, "uptime", first, last, None)
        if times is None:
            exporter.counts["flow-time-impossible"] += 1
            continue
        yield FlowRecord(
            *times,
            source,
            destination,
            sport,
            dport,
            protocol,
            octets,
            packets,
            flags,
            sampling=sampling,
        )


def _sets(data: bytes, message: Message, exporter: Exporter) -> Iterator[tuple[int, bytes]]:
    """The sets of a message with their numbers, up to one whose length is impossible."""
    at = message.at
    while at + 4 <= message.end:
        number, length = struct.unpack_from(">HH", data, at)
        if length < 4 or at + length > message.end:
            exporter.counts["flow-set-bad"] += 1
            return
        yield number, data[at + 4 : at + length]
        at += length


def _templates(message: Message, exporter: Exporter, number: int, body: bytes) -> None:
    """Take the templates of a set."""
    is_ipfix = message.version == 10
    kinds = {2: False, 3: True} if is_ipfix else {0: False, 1: True}
    is_options = kinds.get(number)
    if is_options is None:
        exporter.counts["flow-set-unknown"] += 1
        return
    at = 0
    try:
        while at + 4 <= len(body):
            template, count = struct.unpack_from(">HH", body, at)
            if template < 256 and not (is_ipfix and count == 0):
                return  # padding
            at += 4
            if is_options:
                at, count = _options(body, at, count, is_ipfix)
            if not count:
                exporter.withdraw(template)
                continue
            if count > MAX_FIELDS:
                raise ValueError
            fields, at = _fields(body, at, count, is_ipfix)
            exporter.define(template, fields, is_options, message.sent)
    except (ValueError, struct.error):
        exporter.counts["flow-template-bad"] += 1


def _options(body: bytes, at: int, count: int, is_ipfix: bool) -> tuple[int, int]:
    """Where the fields of an options template begin, and how many there are: IPFIX counts fields,
    NetFlow v9 the bytes of their descriptions, of the scope and of the options."""
    if is_ipfix:
        return (at + 2 if count else at), count
    (of_options,) = struct.unpack_from(">H", body, at)
    return at + 2, (count + of_options) // 4


def _fields(body: bytes, at: int, count: int, is_ipfix: bool) -> tuple[list[Field], int]:
    fields = []
    for _ in range(count):
        element, length = struct.unpack_from(">HH", body, at)
        at += 4
        enterprise = 0
        if is_ipfix and element & 0x8000:
            (enterprise,) = struct.unpack_from(">I", body, at)
            element &= 0x7FFF
            at += 4
        if not length or (length == 0xFFFF and not is_ipfix):
            raise ValueError
        fields.append(Field(element, enterprise, length))
    return fields, at


def _data(
    message: Message, exporter: Exporter, number: int, body: bytes
) -> Iterator[FlowRecord | None]:
    """The records of a set, None for each that is no flow."""
    found = exporter.layout(number, message.sent)
    if found is None:
        return
    layout, is_options = found
    try:
        for values in layout.records(body):
            if is_options:
                _note_options(exporter, values)
                yield None
            else:
                yield _flow(message, exporter, layout, values)
    except ValueError:
        exporter.counts["flow-record-cut"] += 1


def _note_options(exporter: Exporter, values: Values) -> None:
    """Remember what options say of sampling and of the start of the exporter."""
    if values.boot_time:
        exporter.boot_time = values.boot_time
    interval, space = values.sampling_interval, values.sampling_space
    if interval:
        # RFC 5476 section 6.5.2: so many packets are taken, and so many behind them are not.
        rate = interval if space is None else (interval + space) // interval
        exporter.note_sampler(values.sampler or 0, rate)


def _flow(
    message: Message, exporter: Exporter, layout: Layout, values: Values
) -> FlowRecord | None:
    counts = exporter.counts
    source, destination = values.source, values.destination
    if source is None or destination is None or len(source) != len(destination):
        counts["flow-address-missing"] += 1
        return None
    if not message.started:
        boot_time = values.boot_time or exporter.boot_time or 0
        message = message._replace(started=boot_time * _MILLISECOND)
    times = _times(message, layout.clock, values.started, values.ended, values.duration)
    if times is None:
        counts["flow-time-impossible"] += 1
        return None
    is_biflow = values.reverse_octets is not None or values.reverse_packets is not None
    record = FlowRecord(
        *times,
        source,
        destination,
        values.source_port or 0,
        values.destination_port or 0,
        values.protocol or 0,
        values.octets or 0,
        values.packets or 0,
        values.tcp_flags or 0,
        values.reverse_octets or 0,
        values.reverse_packets or 0,
        values.reverse_tcp_flags or 0,
        is_biflow,
        values.vlan or None,
        values.source_mac,
        max(exporter.sampling(values.sampler), _own_sampling(values)),
    )
    return _reversed(record) if is_biflow and values.biflow_direction == 2 else record


def _own_sampling(values: Values) -> int:
    interval = values.sampling_interval or 1
    space = values.sampling_space
    return interval if space is None else (interval + space) // interval


def _reversed(record: FlowRecord) -> FlowRecord:
    """A biflow whose destination has opened it (RFC 5103 section 6.3)."""
    return record._replace(
        source=record.destination,
        destination=record.source,
        source_port=record.destination_port,
        destination_port=record.source_port,
        octets=record.reverse_octets,
        packets=record.reverse_packets,
        tcp_flags=record.reverse_tcp_flags,
        reverse_octets=record.octets,
        reverse_packets=record.packets,
        reverse_tcp_flags=record.tcp_flags,
        source_mac=None,
    )


def _times(
    message: Message,
    clock: str,
    started: int | None,
    ended: int | None,
    duration: int | None,
) -> tuple[int, int] | None:
    """The first and the last time of a flow in ns, None where they are impossible: the flow ends
    before it begins, or at a time at which it cannot have been seen."""
    if not clock:
        # It has no times of its own: it was exported when it ended.
        first = last = message.sent
        if duration is not None:
            first = last - duration * _MILLISECOND
        return (first, last) if first >= message.earliest else None
    if started is None:
        started = ended
    if ended is None:
        ended = started
    if started is None or ended is None:
        return None
    if clock == "uptime" and not message.started:
        return None
    first, last = _since_epoch(message, clock, started), _since_epoch(message, clock, ended)
    if duration is not None and first == last:
        last = first + duration * _MILLISECOND
    is_possible = message.earliest <= first <= last <= message.sent + AHEAD
    return (first, last) if is_possible else None


def _since_epoch(message: Message, clock: str, value: int) -> int:
    """A time of a record in ns since the epoch."""
    if clock == MICROSECONDS_BEFORE:
        return message.sent - value * 1000
    match clock:
        case "uptime":
            time = message.started + value * _MILLISECOND
            # The uptime has 32 bits of milliseconds, and begins again after 49.7 days.
            over = (1 << 32) * _MILLISECOND
            return time - over if time > message.sent + over // 2 else time
        case "seconds":
            return value * _SECOND
        case "milliseconds":
            return value * _MILLISECOND
        case _:
            return ((value >> 32) - _NTP_EPOCH) * _SECOND + ((value & 0xFFFFFFFF) * _SECOND >> 32)
