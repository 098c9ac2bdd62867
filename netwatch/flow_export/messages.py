# cython: language_level=3
"""Messages of NetFlow v5 and v9 and of IPFIX: bytes in, flow records out.

A message of NetFlow v9 (RFC 3954 section 5) and of IPFIX (RFC 7011 section 3) is a header and sets:
templates, options templates, and data that a template of the same exporter lays out. One of NetFlow
v5 has up to 30 records of one layout. Whatever is wrong within a message is counted with its
exporter, and the sets behind it are read as far as their lengths allow.
"""

import struct
from collections import Counter

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core.buffers import number_at
    from cython.cimports.netwatch.flow_export.exporters import Exporter, Template
    from cython.cimports.netwatch.flow_export.layouts import Layout
else:
    from netwatch.core.buffers import number_at
    from netwatch.flow_export.exporters import Exporter, Template
    from netwatch.flow_export.layouts import Layout

from netwatch.core.errors import ParseError
from netwatch.flow_export.elements import MAX_FIELDS, Field, Values
from netwatch.flow_export.layouts import EARLIEST
from netwatch.flow_export.records import FlowRecord

MAX_DOMAINS = 64
"""Observation domains of one sender that are known at a time."""

_MILLISECOND = cython.declare(cython.longlong, 1_000_000)
_SECOND = cython.declare(cython.longlong, 1_000_000_000)
_EARLIEST = cython.declare(cython.longlong, EARLIEST)
_UNKNOWN = cython.declare(cython.longlong, -1)
# Its fields as elements of NetFlow v9, with zeros as 210.
_V5_ELEMENTS = "8:4 12:4 15:4 10:2 14:2 2:4 1:4 22:4 21:4 7:2 11:2 210:1 6:1 4:1 5:1 210:8"
_V5_RECORD = Layout(
    [
        Field(int(each.partition(":")[0]), 0, int(each.partition(":")[2]))
        for each in _V5_ELEMENTS.split()
    ]
)


@cython.final
@cython.cclass
class Message:
    """The header of a message: its version (5, 9, 10), the number of its exporter, its sequence
    number, when it was sent (ns since the epoch), when the exporter had been started (ns, 0 where
    the message does not say), and where its sets begin and end. The age of templates is by the time
    `now`: when it arrived if that is known, since anybody may write a time into a message. No time
    in it is before `earliest`."""

    def __init__(
        self,
        version: cython.longlong,
        domain: cython.longlong,
        sequence: cython.longlong,
        sent: cython.longlong,
        started: cython.longlong,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        now: cython.longlong,
    ) -> None:
        self.version, self.domain, self.sequence = version, domain, sequence
        self.sent, self.started = sent, started
        self.at, self.end = at, end
        self.now = now
        self.earliest = _EARLIEST

    def uptime(self) -> cython.longlong:
        """For how long the exporter had been running, ms."""
        return (self.sent - self.started) // _MILLISECOND


def head(data: bytes, arrived: int | None = None) -> Message:
    """The header of a message, which has `arrived` then (ns since the epoch) if that is known.
    Raises `ParseError`."""
    size: cython.Py_ssize_t = len(data)
    if size < 16:
        raise ParseError("flow-message-cut")
    version: cython.longlong = number_at(data, 0, 2)
    sent: cython.longlong
    now: cython.longlong
    started: cython.longlong = 0
    end: cython.Py_ssize_t = size
    uptime: cython.longlong = number_at(data, 4, 4)
    if version == 10:
        end = number_at(data, 2, 2)
        if not 16 <= end <= size:
            raise ParseError("flow-message-cut")
        sent = uptime * _SECOND
        now = sent if arrived is None else arrived
        return Message(10, number_at(data, 12, 4), number_at(data, 8, 4), sent, 0, 16, end, now)
    if version == 9 and size >= 20:
        sent = number_at(data, 8, 4) * _SECOND
        started = sent - uptime * _MILLISECOND
        now = sent if arrived is None else arrived
        sequence = number_at(data, 12, 4)
        return Message(9, number_at(data, 16, 4), sequence, sent, started, 20, end, now)
    if version == 5 and size >= 24:
        end = 24 + 48 * number_at(data, 2, 2)
        if end > size:
            raise ParseError("flow-message-cut")
        sent = number_at(data, 8, 4) * _SECOND + min(number_at(data, 12, 4), _SECOND - 1)
        started = sent - uptime * _MILLISECOND
        engine = number_at(data, 20, 2)
        return Message(5, engine, number_at(data, 16, 4), sent, started, 24, end, sent)
    raise ParseError("flow-message-cut" if version in (5, 9) else "flow-version")


@cython.final
@cython.cclass
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
        of: Message = message or head(data)
        exporter: Exporter = self.exporter(of)
        unread: cython.longlong = exporter.unread()
        impossible: cython.longlong = exporter.impossible
        found: list[FlowRecord] = []
        if of.version == 5:
            _read_records(data, of, exporter, found)
        else:
            _read_sets(data, of, exporter, found)
        self.unread += exporter.unread() - unread
        self.impossible += exporter.impossible - impossible
        return found

    def anomalies(self) -> Counter[str]:
        """What was wrong with messages so far, of all exporters."""
        total = Counter(self.counts)
        for exporter in self.exporters.values():
            total.update(exporter.anomalies())
        return total

    def exporter(self, message: Message) -> Exporter:
        """The exporter of a message, which may be new."""
        domain = message.version, message.domain
        known: Exporter | None = self.exporters.get(domain)
        if known is not None:
            return known
        if len(self.exporters) >= MAX_DOMAINS:
            # Forget the oldest but for what it has counted.
            oldest: Exporter = self.exporters.pop(next(iter(self.exporters)))
            self.counts.update(oldest.anomalies())
            self.counts["flow-exporters-full"] += 1
        made: Exporter = Exporter()
        self.exporters[domain] = made
        return made


@cython.cfunc
def _read_records(
    data: bytes, message: Message, exporter: Exporter, found: list[FlowRecord]
) -> cython.void:
    """Add the flows of a message of NetFlow v5."""
    interval = number_at(data, 22, 2) & 0x3FFF
    if interval > 1:
        exporter.note_sampler(0, interval)
    count = (message.end - message.at) // 48
    exporter.follow(message.sequence, count, message.uptime())
    _flows(_V5_RECORD, data, message.at, message.end, message, exporter, found)


@cython.cfunc
def _read_sets(
    data: bytes, message: Message, exporter: Exporter, found: list[FlowRecord]
) -> cython.void:
    """Add the flows of a message of sets, up to one whose length is impossible."""
    at: cython.Py_ssize_t = message.at
    body: cython.Py_ssize_t
    counted: cython.longlong = 0
    number: cython.longlong
    length: cython.longlong
    known: Template | None
    while at + 4 <= message.end:
        number, length = number_at(data, at, 2), number_at(data, at + 2, 2)
        body, at = at + 4, at + length
        if length < 4 or at > message.end:
            exporter.counts["flow-set-bad"] += 1
            break
        if number < 256:
            _templates(message, exporter, number, data[body:at])
            continue
        known = exporter.template(number, message.now)
        if known is None:
            continue
        if known.is_options:
            options = known.layout.options(data, body, at, exporter)
            counted += len(options)
            for values in options:
                _note_options(exporter, values)
        else:
            counted += _flows(known.layout, data, body, at, message, exporter, found)
    if message.version == 9:
        exporter.follow(message.sequence, 1, message.uptime())
    else:
        exporter.follow(message.sequence, counted, _UNKNOWN)


@cython.cfunc
def _flows(
    layout: Layout,
    data: bytes,
    at: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    message: Message,
    exporter: Exporter,
    found: list[FlowRecord],
) -> cython.Py_ssize_t:
    """Add the flows of a set, and tell how many records it has."""
    # nfreplay (nfdump 1.7) sends messages that are a day older than their records.
    latest: cython.longlong = max(message.sent, message.now)
    return layout.flows(
        data, at, end, message.sent, message.started, message.earliest, latest, exporter, found
    )


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
