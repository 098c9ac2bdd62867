"""TCP reassembly for the few flows that are owed bytes, bounded in every direction.

A message (ClientHello, request head, DNS over TCP) starts at a *head*: a segment that
looks like one. Most are whole in that segment and pass straight through. Else the
segments of that side of the flow are kept until the message is contiguous: in any
order, repeated, overlapping. Where messages build on each other (HTTP/2), what is known
of a side is kept as long as there is room. A stream that grows old, or the least recent
one when there are too many, is dropped; what its cut messages show is told all the same.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message
from netwatch.dissect.candidate import Seen
from netwatch.dissect.reassembly.stream import Stream

Parse = Callable[[bytes, bool], Message]
"""A parser of one message at the start of bytes; true as second argument says that no
more will come."""

Converse = Callable[[], Parse]
"""Makes a parser that remembers the messages before, one for each side of a flow."""

Found = tuple[Seen, Message]

MAX_REFUSED = 8
"""Heads of one stream that may turn out to be none before all that is there is let go."""

_SEQ = 0xFFFFFFFF

Side = tuple[int, int]
"""A flow and which side of it sends."""


class Streams:
    """The streams of one capture.

    `parsers` by kind; `persistent` kinds go on with the next message where one ends, and
    so do those of `converses`; `looks` says which kind bytes without a known head start
    with (0: none); a message that was put together and that `idle` says is of no interest
    is not parsed. Limits: streams, bytes in all, bytes in one, age in ns of packet time,
    conversations that pause for longer, and how many read messages are remembered to know
    their repetition. What was dropped is counted in `anomalies`.
    """

    def __init__(
        self,
        parsers: Mapping[int, Parse],
        persistent: frozenset[int],
        looks: Callable[[bytes], int],
        idle: Callable[[int, Side, bytes], bool] = lambda kind, side, data: False,
        *,
        converses: Mapping[int, Converse] = MappingProxyType({}),
        limit: int = 4096,
        limit_bytes: int = 32 << 20,
        limit_stream: int = 128 << 10,
        age: int = 60_000_000_000,
        pausing: int = 1024,
        remembered: int = 16384,
    ) -> None:
        self._parsers = parsers
        self._persistent = persistent | converses.keys()
        self._converses = converses
        self._looks = looks
        self._idle = idle
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._limit_stream = limit_stream
        self._age = age
        self._pausing = pausing
        self._remembered = remembered
        self._streams: OrderedDict[Side, Stream] = OrderedDict()
        self._paused: OrderedDict[Side, Stream] = OrderedDict()
        self._talks: dict[Side, Parse] = {}
        self._bytes = 0
        self._read: dict[tuple[Side, int], None] = {}
        self._over: dict[Side, tuple[int, int]] = {}
        self.anomalies: Counter[str] = Counter()

    def table(self) -> tuple[int, int, int]:
        """Streams now, at most, and how many had to go with bytes that were waited for."""
        gone = self.anomalies["tcp-streams-full"] + self.anomalies["tcp-stream-aged"]
        return len(self._streams), self._limit, gone

    def feed(
        self, kind: int, side: Side, seq: int, payload: bytes, cut: bool, packet: Seen
    ) -> list[Found]:
        """Take one segment: `kind` is 0 where it looks like nothing, `seq` its number on
        the wire, `cut` says that the capture holds only its start. What became readable
        comes back, each with the packet that made it so."""
        found: list[Found] = []
        stream = self._streams.get(side) or self._paused.get(side)
        if kind and ((side, seq) in self._read or (stream is None and self._within(side, seq))):
            self.anomalies["tcp-retransmission"] += 1
            return found
        if side in self._paused:
            self._streams[side] = self._paused.pop(side)
        if stream is None:
            if kind and kind not in self._persistent:
                size = self._whole(kind, side, seq, payload, cut, packet, found)
                if size:
                    seq, payload = (seq + size) & _SEQ, payload[size:]
                    kind = self._looks(payload)
                    if not kind:
                        return found
            elif not kind and side in self._over:
                return found
            stream = self._streams[side] = Stream(seq, packet.time)
        else:
            self._streams.move_to_end(side)
            stream.time = packet.time
        before = stream.size
        position = stream.position(seq)
        stream.keep(position, payload)
        if cut:
            stream.cut = position + len(payload)
        if kind and (
            not stream.kind or (position >= stream.taken and stream.kind not in self._converses)
        ):
            stream.heads[position] = (kind, packet)
        if kind and not stream.kind:
            self._start(side, stream, kind, position)
        self._advance(side, stream, packet, found)
        self._bytes += stream.size - before
        if not stream.kind and not stream.size:
            self._forget(side)
        elif stream.size > self._limit_stream:
            self.anomalies["tcp-stream-too-long"] += 1
            self._drop(side, found)
        self._expire(packet.time, found)
        return found

    def aged(self, side: Side, now: int) -> list[Found]:
        """What those show that waited too long by `now`, ns, but for this side, which sent
        something now."""
        found: list[Found] = []
        oldest = next(iter(self._streams.values()), None)
        if oldest is None or oldest.time + self._age >= now:
            return found
        own = self._streams.pop(side, None)
        self._expire(now, found)
        if own is not None:
            self._streams[side] = own
            self._streams.move_to_end(side, last=False)
        return found

    def waits(self, side: Side) -> bool:
        """Whether what this side sent is needed for a message that is not whole, or for
        any that may come."""
        stream = self._streams.get(side)
        return stream is not None and (stream.size > 0 or stream.kind in self._converses)

    def pauses(self, side: Side) -> bool:
        """Whether a conversation of this side was set apart."""
        return side in self._paused

    def flush(self) -> Iterator[Found]:
        """The capture is over: what the messages still open show."""
        found: list[Found] = []
        while self._streams:
            self._drop(next(iter(self._streams)), found)
        yield from found

    def _start(self, side: Side, stream: Stream, kind: int, position: int) -> None:
        """Expect a message of this kind at a position."""
        converse = self._converses.get(kind)
        if converse:
            self._talks[side] = converse()
        stream.start(kind, position)

    def _parse(self, kind: int, side: Side, seq: int, data: bytes, last: bool) -> Message | None:
        """The message at the start of `data`, empty where it is of no interest; None where
        it is none (counted). Raises `Incomplete`."""
        message = None
        if self._idle(kind, side, data):
            message = Message((), len(data))
        else:
            parse = self._parsers.get(kind) or self._talks[side]
            try:
                message = parse(data, last)
            except ParseError as error:
                self.anomalies[error.anomaly] += 1
        self._read[(side, seq)] = None
        if len(self._read) > self._remembered:
            del self._read[next(iter(self._read))]
        return message

    def _whole(
        self,
        kind: int,
        side: Side,
        seq: int,
        payload: bytes,
        cut: bool,
        packet: Seen,
        found: list[Found],
    ) -> int:
        """Read a message straight from its segment; how many bytes of it are done with."""
        try:
            message = self._parse(kind, side, seq, payload, cut)
        except Incomplete:
            return 0
        size = len(payload)
        if message is not None:
            found.append((packet, message))
            size = message.size
        self._end(side, seq, size)
        return size

    def _advance(self, side: Side, stream: Stream, packet: Seen, found: list[Found]) -> None:
        """Read what has become contiguous; a stream with nothing more to read ends with
        kind 0 and no bytes."""
        if not stream.kind:
            position, data = stream.opening()
            kind = self._looks(data)
            if not kind:
                return
            stream.heads[position] = (kind, packet)
            self._start(side, stream, kind, position)
        while True:
            stream.grow()
            if not stream.data or len(stream.data) < stream.need:
                return
            last = stream.cut == stream.taken + len(stream.data)
            seq, size = (stream.origin + stream.taken) & _SEQ, len(stream.data)
            try:
                message = self._parse(stream.kind, side, seq, bytes(stream.data), last)
            except Incomplete as more:
                stream.need = more.bytes_needed
                return
            if message is not None:
                found.append((packet, message))
                size = message.size
                stream.consume(size)
                if stream.kind in self._persistent:
                    continue
            elif self._otherwise(side, stream, packet):
                continue
            head = stream.next_head()
            if head is None:
                stream.kind = 0
                stream.size = 0
                stream.kept.clear()
                self._end(side, seq, size)
                return
            stream.rewind()
            self._start(side, stream, stream.heads[head][0], head)

    def _otherwise(self, side: Side, stream: Stream, packet: Seen) -> bool:
        """What was refused may be of another kind, by more bytes than its first segment
        had; if not, its head was none, and one behind it may be. Whether it is."""
        stream.refused += 1
        kind = self._looks(bytes(stream.data[:64]))
        if stream.refused > MAX_REFUSED:
            # each of them could have all behind it read anew
            stream.consume(len(stream.data))
            return False
        if kind in (0, stream.kind):
            stream.heads.pop(stream.taken, None)
            return False
        at = stream.taken
        stream.heads[at] = (kind, packet)
        stream.rewind()
        self._start(side, stream, kind, at)
        return True

    def _end(self, side: Side, seq: int, size: int) -> None:
        """Nothing more is waited for on this side, whose last message had `size` bytes from
        `seq` on: stray segments are let go."""
        self._over[side] = seq, size
        if len(self._over) > self._remembered:
            del self._over[next(iter(self._over))]

    def _within(self, side: Side, seq: int) -> bool:
        """Whether a segment that looks like a head comes again from inside of the last
        message that was read."""
        start, size = self._over.get(side, (0, 0))
        return (seq - start) & _SEQ < size

    def _expire(self, now: int, found: list[Found]) -> None:
        while self._streams:
            side, stream = next(iter(self._streams.items()))
            if stream.time + self._age < now:
                reason = "tcp-stream-aged"
            elif len(self._streams) > self._limit or self._bytes > self._limit_bytes:
                reason = "tcp-streams-full"
            else:
                return
            if stream.kind in self._converses and not stream.size:
                self._pause(side)
                continue
            if stream.kind and stream.size:
                self.anomalies[reason] += 1
            self._drop(side, found)

    def _pause(self, side: Side) -> None:
        """Set a conversation apart that is at the end of a message, for as long as there
        is room."""
        self._paused[side] = self._streams.pop(side)
        if len(self._paused) > self._pausing:
            gone, _ = self._paused.popitem(last=False)
            del self._talks[gone]
            self._end(gone, 0, 0)
            self.anomalies["tcp-streams-full"] += 1

    def _forget(self, side: Side) -> None:
        self._bytes -= self._streams.pop(side).size
        self._talks.pop(side, None)

    def _drop(self, side: Side, found: list[Found]) -> None:
        """Let a stream go, telling what its cut messages show."""
        stream = self._streams[side]
        self._forget(side)
        self._end(side, 0, 0)
        head = stream.next_head()
        while head is not None:
            kind, packet = stream.heads[head]
            stream.rewind()
            self._start(side, stream, kind, head)
            stream.grow()
            seq = (stream.origin + head) & _SEQ
            try:
                message = self._parse(kind, side, seq, bytes(stream.data), True)
            except Incomplete:
                message = None
                self.anomalies["tcp-message-incomplete"] += 1
            if message is not None:
                found.append((packet, message))
            del stream.heads[head]
            head = stream.next_head()
        self._talks.pop(side, None)
