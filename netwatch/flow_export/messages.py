"""Messages of NetFlow v5 and v9 and of IPFIX: bytes in, flow records out.

A message of NetFlow v9 (RFC 3954 section 5) and of IPFIX (RFC 7011 section 3) is a header and sets:
templates, options templates, and data that a template of the same exporter lays out. One of NetFlow
v5 has up to 30 records of one layout. Whatever is wrong within a message is counted with its
exporter, and the sets behind it are read as far as their lengths allow.
"""

import struct
from collections import Counter
from typing import NamedTuple

from netwatch.core.errors import ParseError
from netwatch.flow_export.elements import MAX_FIELDS, Field, Values
from netwatch.flow_export.exporters import Exporter
from netwatch.flow_export.layouts import EARLIEST, Layout
from netwatch.flow_export.records import FlowRecord

MAX_DOMAINS = 64
"""Observation domains of one sender that are known at a time."""

_MILLISECOND = 1_000_000
_SECOND = 1_000_000_000
_V5_HEAD = struct.Struct(">HHIIIIBBH")
# Its fields as elements of NetFlow v9, with zeros as 210.
_V5_ELEMENTS = "8:4 12:4 15:4 10:2 14:2 2:4 1:4 22:4 21:4 7:2 11:2 210:1 6:1 4:1 5:1 210:8"
_V5_RECORD = Layout(
    [
        Field(int(each.partition(":")[0]), 0, int(each.partition(":")[2]))
        for each in _V5_ELEMENTS.split()
    ]
)
_V9_HEAD = struct.Struct(">HHIIII")
_IPFIX_HEAD = struct.Struct(">HHIII")
_SET_HEAD = struct.Struct(">HH")


class Message(NamedTuple):
    """The header of a message: its version (5, 9, 10), the number of its exporter, its sequence
    number, when it was sent (ns since the epoch), when the exporter had been started (ns, 0 where
    the message does not say), and where its sets begin and end. The age of templates is by the time
    `now`: when it arrived if that is known, since anybody may write a time into a message. No time
    in it is before `earliest`."""

    version: int
    domain: int
    sequence: int
    sent: int
    started: int
    at: int
    end: int
    now: int
    earliest: int = EARLIEST


def head(data: bytes, arrived: int | None = None) -> Message:
    """The header of a message, which has `arrived` then (ns since the epoch) if that is known.
    Raises `ParseError`."""
    if len(data) < 16:
        raise ParseError("flow-message-cut")
    version = int.from_bytes(data[:2])
    if version == 10:
        _, length, seconds, sequence, domain = _IPFIX_HEAD.unpack_from(data)
        if not 16 <= length <= len(data):
            raise ParseError("flow-message-cut")
        sent = seconds * _SECOND
        now = sent if arrived is None else arrived
        return Message(10, domain, sequence, sent, 0, 16, length, now)
    if version == 9 and len(data) >= 20:
        _, _, uptime, seconds, sequence, domain = _V9_HEAD.unpack_from(data)
        sent = seconds * _SECOND
        started = sent - uptime * _MILLISECOND
        now = sent if arrived is None else arrived
        return Message(9, domain, sequence, sent, started, 20, len(data), now)
    if version == 5 and len(data) >= 24:
        _, count, uptime, seconds, nanoseconds, sequence, kind, engine, _ = _V5_HEAD.unpack_from(
            data
        )
        end = 24 + 48 * count
        if end > len(data):
            raise ParseError("flow-message-cut")
        sent = seconds * _SECOND + min(nanoseconds, _SECOND - 1)
        started = sent - uptime * _MILLISECOND
        return Message(5, kind << 8 | engine, sequence, sent, started, 24, end, sent)
    raise ParseError("flow-message-cut" if version in (5, 9) else "flow-version")


class FlowDecoder:
    """Reads the messages of one sender, which may have several observation domains. What cannot be
    counted with an exporter is in `counts`; `unread` says how many records are missing, and
    `impossible` how many had a time that cannot be."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.exporters: dict[tuple[int, int], Exporter] = {}
        self.unread = self.impossible = 0

    def read(self, data: bytes, message: Message | None = None) -> list[FlowRecord]:
        """The records of a message, whose header may be known. Raises `ParseError` where it is
        none."""
        message = message or head(data)
        exporter = self.exporters.get((message.version, message.domain)) or self._add(message)
        before, wrong = exporter.unread, exporter.counts["flow-time-impossible"]
        found: list[FlowRecord] = []
        if message.version == 5:
            _read_records(data, message, exporter, found)
        else:
            _read_sets(data, message, exporter, found)
        self.unread += exporter.unread - before
        self.impossible += exporter.counts["flow-time-impossible"] - wrong
        return found

    def anomalies(self) -> Counter[str]:
        """What was wrong with messages so far, of all exporters."""
        total = Counter(self.counts)
        for exporter in self.exporters.values():
            total.update(exporter.anomalies())
        return total

    def _add(self, message: Message) -> Exporter:
        if len(self.exporters) >= MAX_DOMAINS:
            # Forget the oldest but for what it has counted.
            oldest = self.exporters.pop(next(iter(self.exporters)))
            self.counts.update(oldest.anomalies())
            self.counts["flow-exporters-full"] += 1
        exporter = self.exporters[message.version, message.domain] = Exporter()
        return exporter


def _read_records(
    data: bytes, message: Message, exporter: Exporter, found: list[FlowRecord]
) -> None:
    """Add the flows of a message of NetFlow v5."""
    interval = int.from_bytes(data[22:24]) & 0x3FFF
    if interval > 1:
        exporter.note_sampler(0, interval)
    count = (message.end - message.at) // 48
    exporter.follow(message.sequence, count, _uptime(message))
    _V5_RECORD.flows(data, message.at, message.end, *_times(message), exporter, found)


def _read_sets(data: bytes, message: Message, exporter: Exporter, found: list[FlowRecord]) -> None:
    """Add the flows of a message of sets, up to one whose length is impossible."""
    at, end, counted = message.at, message.end, 0
    times = _times(message)
    while at + 4 <= end:
        number, length = _SET_HEAD.unpack_from(data, at)
        body, at = at + 4, at + length
        if length < 4 or at > end:
            exporter.counts["flow-set-bad"] += 1
            break
        if number < 256:
            _templates(message, exporter, number, data[body:at])
            continue
        known = exporter.layout(number, message.now)
        if known is None:
            continue
        layout, is_options = known
        if is_options:
            options = layout.options(data, body, at, exporter)
            counted += len(options)
            for values in options:
                _note_options(exporter, values)
        else:
            counted += layout.flows(data, body, at, *times, exporter, found)
    if message.version == 9:
        exporter.follow(message.sequence, 1, _uptime(message))
    else:
        exporter.follow(message.sequence, counted)


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
            exporter.define(template, fields, is_options, message.now)
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


def _note_options(exporter: Exporter, values: Values) -> None:
    """Remember what options say of sampling and of the start of the exporter."""
    if values.boot_time:
        exporter.boot_time = values.boot_time
    interval, space = values.sampling_interval, values.sampling_space
    if interval:
        # RFC 5476 section 6.5.2: so many packets are taken, and so many behind them are not.
        rate = interval if space is None else (interval + space) // interval
        exporter.note_sampler(values.sampler or 0, rate)


def _times(message: Message) -> tuple[int, int, int, int]:
    # nfreplay (nfdump 1.7) sends messages that are a day older than their records.
    latest = max(message.sent, message.now)
    return message.sent, message.started, message.earliest, latest


def _uptime(message: Message) -> int:
    """For how long the exporter had been running, ms."""
    return (message.sent - message.started) // _MILLISECOND
