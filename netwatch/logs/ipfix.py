"""Flow records as messages of an exporter: IPFIX files, and what exporters send.

An IPFIX file is a series of messages, one behind the other (RFC 5655 section 4), each with its
length in its head. A record is one message here. Those that exporters send have the address that
they came from, and may be NetFlow as well.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from netwatch.core.errors import ParseError, RecordError
from netwatch.flow_export import FlowRecord
from netwatch.flow_export.conversations import Conversations
from netwatch.flow_export.known_exporters import ARRIVAL, CLOCK_TOLERANCE, clock_words
from netwatch.flow_export.messages import MAX_DOMAINS, FlowDecoder, Message, head
from netwatch.logs.flow_logs import log_flow
from netwatch.logs.records import Carried, LogEntry, LogLoss, ReaderContext, RecordReader, Sample

LATE = 10_000_000_000
"""How long after a gap its messages may arrive, ns: datagrams overtake each other."""

FUTURE = 86_400_000_000_000
"""How far behind the arrival of its message a flow may end, ns."""

_UNREAD = ("flow-records-lost", "flow-template-missing", "flow-template-old")
"""What an exporter has sent and nobody has read: how many records is known of the first alone."""

HEAD = 16
"""Bytes of the head of a message."""

VERSION = b"\0\x0a"


class Bytes(Protocol):
    """Where messages are read from."""

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        ...


class MessageError(Exception):
    """These bytes are no IPFIX file. The argument is a sentence."""


def is_ipfix(head: bytes) -> bool:
    """Whether a file begins with a message whose first set may be one, and the next one follows."""
    if len(head) < HEAD or not head.startswith(VERSION):
        return False
    length = int.from_bytes(head[2:4])
    number = int.from_bytes(head[16:18])
    if length < HEAD or (length > HEAD and number not in (2, 3) and number < 256):
        return False
    following = head[length : length + 2]
    return following == VERSION[: len(following)]


def file_messages(source: Bytes) -> Iterator[bytes]:
    """The messages of a file. Raises `MessageError` where it ends within one, or goes on with
    something else."""
    while head := source.read(HEAD):
        length = int.from_bytes(head[2:4])
        if len(head) < HEAD:
            raise MessageError("it ends within a message")
        if not head.startswith(VERSION) or length < HEAD:
            raise MessageError("what follows is no message of IPFIX")
        body = source.read(length - HEAD)
        if len(body) < length - HEAD:
            raise MessageError("it ends within a message")
        yield head + body


def recognise(sample: Sample) -> int:
    """The first message is one."""
    return max(len(sample.lines), 1) if is_ipfix(sample.head) else 0


class MessageReader(RecordReader):
    """Reads the messages of one log: those of one exporter, or of a file. What carried one says
    when it arrived and from where."""

    waits_briefly = True

    def __init__(self, context: ReaderContext) -> None:
        super().__init__(context)
        self._decoder = FlowDecoder()
        self._conversations = Conversations()
        self._counted: Counter[str] = Counter()
        self._losses = _Losses()
        self._clock_said: int | None = None

    def read(self, record: bytes, carried: Carried) -> Iterator[LogEntry]:
        """The conversations that are complete, and what did not arrive. Raises `RecordError`."""
        try:
            message = head(record)
        except ParseError as error:
            raise RecordError(error.anomaly) from None
        shift = self._shift(message, carried)
        latest = None if carried.time is None else carried.time + FUTURE
        for flow in self._decoder.read(record, shift):
            found = self._mended(flow, shift)
            if latest is not None and found.last > latest:
                self.anomalies["flow-time-impossible"] += 1
                continue
            if found.sampling > 1:
                self.anomalies["flow-sampled"] += 1
            yield from map(log_flow, self._conversations.add(found))
        # Nobody can forge when it arrived.
        now = message.sent if carried.time is None else carried.time
        yield from self._count(message, now)

    def flush(self) -> Iterator[LogEntry]:
        """What waited for the other direction, and what did not arrive."""
        yield from map(log_flow, self._conversations.flush())
        yield from self._losses.take()

    def _mended(self, flow: FlowRecord, shift: int) -> FlowRecord:
        """A record by the right clock, with the sampling that the configuration knows."""
        if shift:
            flow = flow._replace(first=flow.first + shift, last=flow.last + shift)
        known = self.exporter.sampling if self.exporter is not None else None
        if known is None or known == flow.sampling:
            return flow
        if flow.sampling > 1:
            # Most exporters that sample do not say so; this one says something else.
            self.anomalies["flow-sampling-differs"] += 1
        return flow._replace(sampling=known)

    def _shift(self, message: Message, carried: Carried) -> int:
        """What is to be added to the times of a message, ns. A clock that is wrong is counted."""
        clock = self.exporter.clock if self.exporter is not None else None
        if carried.time is None:
            return 0
        if clock == ARRIVAL:
            return carried.time - message.sent
        shift = -clock if isinstance(clock, int) else 0
        ahead = message.sent + shift - carried.time
        if abs(ahead) > CLOCK_TOLERANCE:
            self.anomalies["flow-clock-wrong"] += 1
            self._say_clock(ahead, carried.host)
        return shift

    def _say_clock(self, ahead: int, sender: str) -> None:
        """Say once how wrong a clock is, and again if that has changed."""
        said = self._clock_said
        if said is None or abs(ahead - said) > CLOCK_TOLERANCE + abs(said) // 2:
            self._clock_said = ahead
            name = self.exporter.name if self.exporter is not None else ""
            self.notes.append(
                f"the clock of {name or sender} is {clock_words(ahead)}: flows get wrong times;"
                " set it right, or 'clock' of this exporter in netwatch.yaml"
            )

    def _count(self, message: Message, now: int) -> Iterator[LogLoss]:
        """Count what was wrong with a message of this time (ns); what is lost."""
        found = self._decoder.anomalies()
        self.anomalies.update(found - self._counted)
        self.anomalies.update(self._conversations.take_anomalies())
        self._counted = found
        lost = sum(found[name] for name in _UNREAD)
        yield from self._losses.note((message.version, message.domain), now, lost)


class _Losses:
    """What an exporter sent and nobody has read, with the times between which that was."""

    def __init__(self) -> None:
        self._heard: dict[tuple[int, int], int] = {}
        self._told = self._lost = self._now = 0
        self._gap: tuple[int, int] | None = None

    def note(self, domain: tuple[int, int], now: int, lost: int) -> Iterator[LogLoss]:
        """After a message of a time (ns), `lost` records in all were not read. What is lost once
        its messages cannot be late any more."""
        before = min(self._heard.pop(domain, now), now)
        self._heard[domain] = now
        if len(self._heard) > MAX_DOMAINS:
            del self._heard[next(iter(self._heard))]
        if lost > self._lost and self._gap is None:
            self._gap = before, now
        self._lost, self._told, self._now = lost, min(lost, self._told), now
        if self._gap is not None and not self._gap[1] <= now <= self._gap[1] + LATE:
            yield from self.take()

    def take(self) -> Iterator[LogLoss]:
        """What is lost so far and was not taken."""
        gap, self._gap = self._gap, None
        if gap is not None and self._lost > self._told:
            yield LogLoss(self._now, *gap, self._lost - self._told)
            self._told = self._lost
