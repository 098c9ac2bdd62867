"""Flow records as messages of an exporter: IPFIX files, and what exporters send.

An IPFIX file is a series of messages, one behind the other (RFC 5655 section 4), each with its
length in its head. A record is one message here. Those that exporters send have the address that
they came from, and may be NetFlow as well.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from netwatch.core.errors import ParseError, RecordError
from netwatch.flow_export.conversations import Conversations
from netwatch.flow_export.known_exporters import ARRIVAL, CLOCK_TOLERANCE, clock_words
from netwatch.flow_export.layouts import EARLIEST
from netwatch.flow_export.messages import MAX_DOMAINS, FlowDecoder, Message, head
from netwatch.flow_export.records import Known, corrected
from netwatch.logs.records import (
    Carried,
    LogEntry,
    LogFlows,
    LogLoss,
    ReaderContext,
    RecordReader,
    Sample,
)
from netwatch.logs.times import LAST

LATE = 10_000_000_000
"""How long after a gap its messages may arrive, ns: datagrams overtake each other."""

FUTURE = 86_400_000_000_000
"""How far behind the arrival of its message a flow may end, ns."""

DOUBT = 3_600_000_000_000
"""For how long an exporter is doubted that has sent a number or a time that cannot be, ns of this
machine's clock: its other records may be wrong in ways that nobody can see. In a file, whose times
are the exporter's own, the rest is doubted."""

_NOTHING = Known()
_MOST_SHIFT = 1 << 61
"""How wrong a clock may be, ns: 73 years."""

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
        self._decoder = FlowDecoder()
        self._conversations = Conversations()
        self._counted: Counter[str] = Counter()
        self._losses = _Losses()
        self._clock_said: int | None = None
        self._unread = 0
        self._impossible = 0
        self._doubted_until = 0
        super().__init__(context)

    @property
    def anomalies(self) -> Counter[str]:
        """What was wrong since this was set, whatever exporters count of it so far."""
        found = self._decoder.anomalies()
        self._anomalies.update(found - self._counted)
        self._counted |= found
        self._anomalies.update(self._conversations.take_anomalies())
        return self._anomalies

    @anomalies.setter
    def anomalies(self, anomalies: Counter[str]) -> None:
        self._anomalies = anomalies

    def read(self, record: bytes, carried: Carried) -> Sequence[LogEntry]:
        """The conversations that are complete, and what did not arrive. Raises `RecordError`."""
        try:
            message = head(record, carried.time)
        except ParseError as error:
            raise RecordError(error.anomaly) from None
        # Nobody can forge when it arrived.
        now = message.sent if carried.time is None else carried.time
        known = self._known(message, carried)
        if known.shift:
            message.earliest = EARLIEST - known.shift
        records, wrong = corrected(self._decoder.read(record, message), known)
        if wrong:
            self._anomalies.update(wrong)
            self._unread += wrong.get("flow-time-impossible", 0)
        found = self._conversations.add(records)
        domain = message.version, message.domain
        unread = self._unread + self._decoder.unread + self._conversations.impossible
        self._doubt(carried.time)
        if self.is_doubted and found:
            self._anomalies["flow-doubted"] += len(found)
        losses = self._losses.note(domain, now, unread)
        return [LogFlows(found), *losses] if found else losses

    def flush(self) -> Sequence[LogEntry]:
        """What waited for the other direction, and what did not arrive."""
        found, losses = self._conversations.flush(), self._losses.take()
        return [LogFlows(found), *losses] if found else losses

    def _doubt(self, arrived: int | None) -> None:
        """Say whether this exporter is doubted after a message that has `arrived` then (ns; None
        in a file)."""
        impossible = self._unread + self._decoder.impossible + self._conversations.impossible
        if impossible > self._impossible:
            self._impossible = impossible
            self._doubted_until = LAST if arrived is None else arrived + DOUBT
        self.is_doubted = (arrived or 0) < self._doubted_until

    def _known(self, message: Message, carried: Carried) -> Known:
        """What the configuration, and the time of its arrival, tell of a message."""
        sampling = self.exporter.sampling if self.exporter is not None else None
        if carried.time is None:
            return _NOTHING if sampling is None else Known(sampling=sampling)
        shift = self._shift(message.sent, carried.time, carried.host)
        latest = carried.time + FUTURE
        if not EARLIEST <= message.sent + shift <= latest:
            # An exporter that sends such a time may send others that are wrong.
            latest = 0
        return Known(shift, sampling or 0, latest)

    def _shift(self, sent: int, arrived: int, sender: str) -> int:
        """What is to be added to the times of a message, ns. A clock that is wrong is counted."""
        clock = self.exporter.clock if self.exporter is not None else None
        if clock == ARRIVAL:
            return max(-_MOST_SHIFT, min(arrived - sent, _MOST_SHIFT))
        shift = -clock if isinstance(clock, int) else 0
        ahead = sent + shift - arrived
        if not -CLOCK_TOLERANCE <= ahead <= CLOCK_TOLERANCE:
            self._anomalies["flow-clock-wrong"] += 1
            self._say_clock(ahead, sender)
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


class _Losses:
    """What an exporter sent and nobody has read, with the times between which that was."""

    def __init__(self) -> None:
        self._heard: dict[tuple[int, int], int] = {}
        self._told = self._lost = self._now = 0
        self._gap: tuple[int, int] | None = None

    def note(self, domain: tuple[int, int], now: int, lost: int) -> list[LogLoss]:
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
            return self.take()
        return []

    def take(self) -> list[LogLoss]:
        """What is lost so far and was not taken."""
        gap, self._gap = self._gap, None
        if gap is None or self._lost <= self._told:
            return []
        told, self._told = self._told, self._lost
        return [LogLoss(self._now, *gap, self._lost - told)]
