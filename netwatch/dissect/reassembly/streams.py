"""TCP reassembly for the few flows whose bytes a parser needs, with limits on everything.

A message (ClientHello, request head, DNS over TCP) starts at a *head*: a segment that looks like
one. Most messages are complete in that segment and are parsed at once. Otherwise the segments of
that side of the flow are buffered until the message is contiguous, in whatever order they come,
repeated or overlapping. A conversation (HTTP/2), in which messages build on each other, is
remembered between its messages. Streams that time out, and the least recent one if there are too
many, are dropped; what their incomplete messages show is read anyway.

A sender may send the same part of its stream twice with different bytes, of which its receiver
takes one. The message is then read with the bytes that came first, and with those that came last
(`Stream.fork`); if the latter cannot be read, `unread` is called. `contest` is called when that
happens, and when a ClientHello comes after one with another name.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress

from netwatch.core.errors import Incomplete
from netwatch.core.message import Message
from netwatch.core.statistics import TableUsage
from netwatch.dissect.candidate import Candidate
from netwatch.dissect.loop.layout import KIND_TLS, SIDE_STRAY
from netwatch.dissect.reassembly.stream import NEVER, SEQUENCE_MASK, ReadMessages, Segment, Stream
from netwatch.dissect.reassembly.stream_parsers import Side, StreamParsers

Found = tuple[Candidate, Message]

MAX_REFUSED = 8
"""Heads of one stream that may turn out not to be one before all its bytes are discarded."""

RECORDS = (b"\x15", b"\x16")
"""The TLS record types with which a hello begins: its own, or an alert before it."""

Contest = Callable[[int, int], object]
"""Takes a flow and a side if it is unknown which bytes the receiver took."""

KeptMessages = Callable[[int], list[tuple[int, int, bytes]]]
"""Returns the side, sequence number and bytes of messages of a flow that were read elsewhere."""

OTHER_READING = 2
"""The bit of a side for a stream that is assembled from the bytes that came last."""

SHORT = 20
"""Bytes of a segment after missing bytes in which a message that the packet loop does not recognise
may start."""


def other_side(side: Side) -> Side:
    """The key of a side's stream that is assembled from the bytes that came last."""
    return side[0], side[1] | OTHER_READING


def _agree(one: bytes, other: bytes) -> bool:
    """Whether the bytes are the same as far as both go."""
    size = min(len(one), len(other))
    return one[:size] == other[:size]


class StreamReassembler:
    """The streams of one capture.

    `detect_kind` tells the kind of a message from the first bytes of a stream without a known head,
    0 if there is none. Limits: streams, bytes of all streams and of one, ns of packet time without
    a segment, conversations that pause for longer than that, and messages that are remembered to
    recognise their retransmission. What was dropped is counted in `anomalies`.
    """

    def __init__(
        self,
        parsers: StreamParsers,
        detect_kind: Callable[[bytes], int],
        unread: Callable[[int], None] = lambda flow: None,
        contest: Contest = lambda flow, side: None,
        kept_messages: KeptMessages = lambda flow: [],
        *,
        max_streams: int = 4096,
        max_bytes: int = 32 << 20,
        max_stream_bytes: int = 128 << 10,
        timeout: int = 60_000_000_000,
        max_paused: int = 1024,
        max_remembered: int = 16384,
    ) -> None:
        self._parsers = parsers
        self._detect_kind = detect_kind
        self._unread = unread
        self._contest = contest
        self._kept_messages = kept_messages
        self._max_streams = max_streams
        self._max_bytes = max_bytes
        self._max_stream_bytes = max_stream_bytes
        self._timeout = timeout
        self._max_paused = max_paused
        self._streams: OrderedDict[Side, Stream] = OrderedDict()
        self._paused: OrderedDict[Side, Stream] = OrderedDict()
        self._bytes = 0
        self._read_messages = ReadMessages(max_remembered)
        self._forked: Side | None = None
        self._anomalies: Counter[str] = Counter()

    @property
    def anomalies(self) -> Counter[str]:
        """The counts so far, by name, with what could not be parsed."""
        return self._anomalies + self._parsers.anomalies

    def usage(self) -> TableUsage:
        """The number of streams; bytes of evicted ones were needed."""
        evicted = self._anomalies["tcp-streams-full"] + self._anomalies["tcp-stream-aged"]
        return TableUsage(len(self._streams), self._max_streams, evicted)

    def feed(self, segment: Segment) -> list[Found]:
        """The messages completed by a segment, each with the candidate that completed it."""
        found: list[Found] = []
        side, candidate = segment.side, segment.candidate
        stream = self._streams.get(side) or self._paused.get(side)
        read = self._message_again(segment, stream)
        if read is not None:
            self._read_again(segment, *read, found)
            self._expire(candidate.time, found)
            return found
        other = segment.on(other_side(side))
        if other.side in self._streams:
            self._feed_other(other, found)
        if side in self._paused:
            self._streams[side] = self._paused.pop(side)
        if stream is None:
            stream = self._resumed(segment)
        if stream is None:
            rest = self._read_at_once(segment, found)
            if rest is None:
                return found
            segment = rest
            stream = self._streams[side] = Stream(segment.seq, candidate.time)
        else:
            self._streams.move_to_end(side)
            stream.time = candidate.time
        self._feed_stream(stream, segment, found)
        self._expire(candidate.time, found)
        return found

    def _message_again(self, segment: Segment, stream: Stream | None) -> tuple[int, bytes] | None:
        """The message read at the place of a segment, with its sequence number."""
        side, seq = segment.side, segment.seq
        if stream is None:
            return self._read_messages.message_at(side, seq)
        data = self._read_messages.starting_at(side, seq) if segment.kind else None
        return None if data is None else (seq, data)

    def remember(self, side: Side, seq: int, data: bytes) -> None:
        """Remember a message that was read elsewhere, unless it is known."""
        if self._read_messages.starting_at(side, seq) is None:
            self._read_messages.add(side, seq, data)
            if side not in self._streams:
                self._read_messages.end(side, seq, len(data))

    def expire(self, side: Side, now: int) -> list[Found]:
        """What incomplete messages show whose streams time out at `now` (ns of packet time), when a
        segment of `side` came. The stream of `side` is included whether or not a segment of another
        stream came before, so that the result does not depend on other traffic. Only a
        conversation, in which hours may pass, continues."""
        found: list[Found] = []
        for key in (side, other_side(side)):
            own = self._streams.get(key)
            if own is None or not self._is_aged(own, now):
                continue
            if self._parsers.is_conversation(own.kind):
                own.time = now
                self._streams.move_to_end(key)
            else:
                self._end(key, "tcp-stream-aged", found)
        oldest = next(iter(self._streams.values()), None)
        if oldest is not None and self._is_aged(oldest, now):
            self._expire(now, found)
        return found

    def next_timeout(self) -> int:
        """The time (ns) after which the least recent stream times out."""
        oldest = next(iter(self._streams.values()), None)
        return NEVER if oldest is None else oldest.time + self._timeout

    def sort(self) -> None:
        """Sort the streams by their last segments."""
        self._streams = OrderedDict(sorted(self._streams.items(), key=lambda item: item[1].time))

    def expects_more(self, side: Side) -> bool:
        """Whether a message of this side is incomplete, or a conversation may continue."""
        stream = self._streams.get(side)
        return other_side(side) in self._streams or (
            stream is not None and (stream.size > 0 or self._parsers.is_conversation(stream.kind))
        )

    def is_paused(self, side: Side) -> bool:
        """Whether this side has a conversation without a segment for longer than the timeout."""
        return side in self._paused

    def flush(self, now: int) -> Iterator[Found]:
        """What messages show that are incomplete at the end of the capture, whose last packet
        came at `now` (ns)."""
        found: list[Found] = []
        while self._streams:
            side, stream = next(iter(self._streams.items()))
            self._end(side, "tcp-stream-aged" if self._is_aged(stream, now) else None, found)
        yield from found

    def _is_aged(self, stream: Stream, now: int) -> bool:
        return stream.time + self._timeout < now

    def _resumed(self, segment: Segment) -> Stream | None:
        """The stream of a side that was forgotten between two messages and continues with a
        segment, None if there is none."""
        side, seq = segment.side, segment.seq
        between = self._read_messages.between(side)
        if between is None:
            return None
        kind, expected = between
        ahead = (seq - expected) & SEQUENCE_MASK
        if segment.kind:
            # It looks like a message, so there is no waiting for what may be missing before it.
            if 0 < ahead <= SEQUENCE_MASK >> 1:
                self._anomalies["tcp-gap"] += 1
            return None
        stream = self._streams[side] = Stream(expected, segment.candidate.time)
        self._start(side, stream, kind, 0)
        return stream

    def _feed_stream(self, stream: Stream, segment: Segment, found: list[Found]) -> None:
        """Add a segment to the stream of its side, and read what is complete."""
        side = segment.side
        size_before = stream.size
        self._buffer(stream, segment)
        if stream.others:
            self._fork(side, stream)
        self._read_contiguous(side, stream, segment.candidate, found)
        self._bytes += stream.size - size_before
        self._read_forked(segment.candidate, found)
        if not stream.kind and not stream.size:
            self._forget(side)
        elif stream.size > self._max_stream_bytes:
            self._anomalies["tcp-stream-too-long"] += 1
            self._drop(side, found)

    def _read_again(self, segment: Segment, start: int, message: bytes, found: list[Found]) -> None:
        """A segment at the place of a message that was read: a retransmission, or other bytes,
        which are assembled in a stream of their own."""
        other = segment.on(other_side(segment.side))
        again = self._read_messages.message_at(other.side, segment.seq)
        for at, data in [(start, message), *([again] if again else [])]:
            ahead = (segment.seq - at) & SEQUENCE_MASK
            if not data or _agree(data[ahead:], segment.payload):
                if other.side in self._streams:
                    self._feed_other(other, found)
                elif segment.kind:
                    self._anomalies["tcp-retransmission"] += 1
                return
        if other.side not in self._streams:
            self._anomalies["tcp-overlap"] += 1
            stream = self._streams[other.side] = Stream(start, segment.candidate.time)
            stream.is_newest, stream.base = True, message
        self._feed_other(other, found)

    def _feed_other(self, segment: Segment, found: list[Found]) -> None:
        """Add a segment to the stream that is assembled from the bytes that came last."""
        stream = self._streams[segment.side]
        self._streams.move_to_end(segment.side)
        stream.time = segment.candidate.time
        if stream.position(segment.seq) < len(stream.base):
            stream.latest = segment.candidate
        self._feed_stream(stream, segment, found)

    def _fork(self, side: Side, stream: Stream) -> None:
        """Bytes of an incomplete message came twice with different content: assemble it from those
        that came last as well."""
        key = other_side(side)
        if key not in self._streams and not self._parsers.is_persistent(stream.kind):
            self._anomalies["tcp-overlap"] += 1
            if side[1] < OTHER_READING:
                self._contest(*side)
            self._forked = key
            self._streams[key] = stream.fork()
            self._bytes += self._streams[key].size
        stream.others.clear()

    def _read_forked(self, candidate: Candidate, found: list[Found]) -> None:
        """Read what is complete in a forked stream."""
        key, self._forked = self._forked, None
        if key is None:
            return
        fork = self._streams[key]
        self._bytes -= fork.size
        self._read_contiguous(key, fork, candidate, found)
        self._bytes += fork.size
        if not fork.kind and not fork.size:
            self._forget(key)

    def _read_at_once(self, segment: Segment, found: list[Found]) -> Segment | None:
        """Read a message that is complete in the first segment of a stream. Returns the segment, or
        the part of it to buffer, None if there is none."""
        kind, side, seq, payload = segment.kind, segment.side, segment.seq, segment.payload
        if not kind:
            return None if self._read_messages.has_ended(side, seq) else segment
        if self._parsers.is_persistent(kind):
            return segment
        try:
            message = self._parse(kind, side, seq, payload, segment.truncated)
        except Incomplete:
            return segment
        size = len(payload)
        if message is not None:
            found.append((segment.candidate, message))
            size = message.size
        self._read_messages.end(side, seq, size)
        if not size:
            return segment
        rest = payload[size:]
        kind = self._detect_kind(rest)
        if not kind:
            return None
        return Segment(
            segment.candidate,
            rest,
            kind=kind,
            side=side,
            seq=(seq + size) & SEQUENCE_MASK,
            truncated=segment.truncated,
        )

    def _buffer(self, stream: Stream, segment: Segment) -> None:
        """Buffer a segment, and note if it looks like a head."""
        kind, side, candidate = segment.kind, segment.side, segment.candidate
        position = stream.position(segment.seq)
        stream.buffer(position, segment.payload)
        if segment.truncated:
            stream.capture_end = position + len(segment.payload)
        if not kind:
            # After missing bytes a message may start with a segment that is too short to tell.
            gap = position > stream.start + len(stream.data)
            if gap and len(segment.payload) < SHORT and self._parsers.is_sequence(stream.kind):
                stream.add_possible_head(position, candidate)
            return
        if not stream.kind:
            stream.heads[position] = (kind, candidate)
            self._start(side, stream, kind, position)
        elif position >= stream.start and not self._parsers.is_conversation(stream.kind):
            stream.heads[position] = (kind, candidate)

    def _start(self, side: Side, stream: Stream, kind: int, position: int) -> None:
        """Expect a message of this kind at a position."""
        self._parsers.start(kind, side)
        stream.start_message(kind, position)

    def _parse(self, kind: int, side: Side, seq: int, data: bytes, last: bool) -> Message | None:
        """The message at the start of `data`, None if it is none of this kind. Raises
        `Incomplete`."""
        message = self._parsers.parse(kind, side, data, last)
        read = data if message is None else data[: message.size]
        if kind == KIND_TLS and side[1] < OTHER_READING:
            self._compare_names(kind, side, seq, read)
        self._read_messages.add(side, seq, read)
        return message

    def _compare_names(self, kind: int, side: Side, seq: int, hello: bytes) -> None:
        """Call `contest` if a ClientHello shows a name that is not in an earlier one of its
        side."""
        earlier = [
            *self._read_messages.of_side(side),
            *((at, data) for of, at, data in self._kept_messages(side[0]) if of == side[1]),
        ]
        hellos = [data.lower() for at, data in earlier if at != seq and data[:1] in RECORDS]
        for name in self._parsers.names(kind, hello) if hellos else ():
            if any(name not in data for data in hellos):
                self._contest(*side)

    def _read_contiguous(
        self, side: Side, stream: Stream, candidate: Candidate, found: list[Found]
    ) -> None:
        """Read the contiguous messages; a stream from which nothing more can be read is left with
        kind 0 and no bytes."""
        if not stream.kind:
            position, kind = self._beginning(stream)
            if not kind:
                return
            stream.heads[position] = (kind, candidate)
            self._start(side, stream, kind, position)
        while True:
            stream.extend()
            if stream.others:
                self._fork(side, stream)
            if not stream.data or len(stream.data) < stream.need:
                return
            seq, size, data = stream.seq, len(stream.data), bytes(stream.data)
            try:
                message = self._parse(stream.kind, side, seq, data, stream.is_cut)
            except Incomplete as more:
                stream.need = more.bytes_needed
                if self._parsers.is_sequence(stream.kind):
                    stream.heads.setdefault(stream.start, (stream.kind, candidate))
                return
            if message is not None:
                if self._is_new_reading(side, seq, message, data):
                    found.append((candidate, message))
                size = message.size
                stream.consume(size)
                if self._parsers.is_persistent(stream.kind):
                    continue
            elif self._try_other_kind(side, stream, candidate):
                continue
            head = stream.next_head()
            if head is None:
                stream.clear()
                self._read_messages.end(side, seq, size)
                return
            stream.rewind()
            self._start(side, stream, stream.heads[head][0], head)

    def _beginning(self, stream: Stream) -> tuple[int, int]:
        """The position of the first buffered segment that begins a message, and its kind; 0 if none
        of the first few does."""
        for position in stream.first_positions(MAX_REFUSED):
            kind = self._detect_kind(stream.bytes_at(position))
            if kind:
                return position, kind
        return 0, 0

    def _try_other_kind(self, side: Side, stream: Stream, candidate: Candidate) -> bool:
        """After a parser refused the message: whether its bytes look like another kind, now that
        there are more of them than in the first segment. If not, it was not a head."""
        stream.refused += 1
        kind = self._detect_kind(bytes(stream.data[:64]))
        if stream.refused > MAX_REFUSED:
            # Otherwise each of many heads could make a parser read all bytes after it again.
            stream.consume(len(stream.data))
            return False
        if kind in (0, stream.kind):
            stream.heads.pop(stream.start, None)
            return False
        position = stream.start
        stream.heads[position] = (kind, candidate)
        stream.rewind()
        self._start(side, stream, kind, position)
        return True

    def _expire(self, now: int, found: list[Found]) -> None:
        """Drop or pause streams that time out at `now` or exceed the limits."""
        while self._streams:
            side, stream = next(iter(self._streams.items()))
            if self._is_aged(stream, now):
                anomaly = "tcp-stream-aged"
            elif len(self._streams) > self._max_streams or self._bytes > self._max_bytes:
                anomaly = "tcp-streams-full"
            else:
                return
            self._end(side, anomaly, found)

    def _end(self, side: Side, anomaly: str | None, found: list[Found]) -> None:
        """Drop the stream of a side, counting `anomaly` if it contains bytes of a message; a
        conversation between two messages is paused unless the capture is over."""
        stream = self._streams[side]
        if anomaly and self._parsers.is_conversation(stream.kind) and not stream.size:
            self._pause(side)
            return
        if anomaly and stream.kind and stream.size:
            self._anomalies[anomaly] += 1
        self._drop(side, found)

    def _pause(self, side: Side) -> None:
        """Set aside a conversation between two messages; the least recent of too many is
        forgotten."""
        self._paused[side] = self._streams.pop(side)
        if len(self._paused) > self._max_paused:
            evicted, _ = self._paused.popitem(last=False)
            self._parsers.forget(evicted)
            self._read_messages.end(evicted, 0, 0)
            self._anomalies["tcp-streams-full"] += 1

    def _forget(self, side: Side) -> None:
        self._bytes -= self._streams.pop(side).size
        self._parsers.forget(side)

    def _drop(self, side: Side, found: list[Found]) -> None:
        """Forget a stream, and read what its incomplete messages show."""
        stream, before = self._streams[side], len(found)
        self._forget(side)
        if self._parsers.is_sequence(stream.kind) and not stream.size:
            self._read_messages.pause(side, stream.kind, stream.seq)
        else:
            self._read_messages.end(side, 0, 0)
        if stream.base:
            self._read_with_base(side, stream, found)
            return
        if self._parsers.is_persistent(stream.kind):
            stream.extend()
            if stream.order:
                self._anomalies["tcp-gap"] += 1
            for position, candidate in stream.possible_heads.items():
                if self._detect_kind(stream.bytes_at(position)) == stream.kind:
                    stream.heads.setdefault(position, (stream.kind, candidate))
        while (head := stream.next_head()) is not None:
            kind, candidate = stream.heads.pop(head)
            stream.rewind()
            self._start(side, stream, kind, head)
            stream.extend()
            self._read_rest(side, stream, candidate, found)
        if len(found) == before:
            self._note_unread(side)
        self._parsers.forget(side)

    def _read_with_base(self, side: Side, stream: Stream, found: list[Found]) -> None:
        """Read the message of which only a part came with other bytes than those that were read
        before, with the old bytes for the rest; if there is none, the flow has an unread
        message."""
        candidate, data = stream.latest, stream.on_base()
        kind = self._detect_kind(data)
        message = None
        if kind and not self._parsers.is_persistent(kind):
            with suppress(Incomplete):
                message = self._parsers.parse(kind, side, data, True)
        if message is not None and message.names and candidate is not None:
            found.append((candidate, message))
        else:
            self._note_unread(side)

    def _note_unread(self, side: Side) -> None:
        if side[1] & (SIDE_STRAY | OTHER_READING) == OTHER_READING:
            self._unread(side[0])

    def _is_new_reading(self, side: Side, seq: int, message: Message, data: bytes) -> bool:
        """Whether a message at the start of `data` differs from what was read with the bytes that
        came first, or last, as well."""
        other = side[0], side[1] ^ OTHER_READING
        return self._read_messages.starting_at(other, seq) != data[: message.size]

    def _read_rest(
        self, side: Side, stream: Stream, candidate: Candidate, found: list[Found]
    ) -> None:
        """Read the message that was started, of which no more bytes will come, and those that
        follow it in its bytes if its kind is one of several messages."""
        while True:
            seq, data = stream.seq, bytes(stream.data)
            try:
                message = self._parse(stream.kind, side, seq, data, True)
            except Incomplete:
                self._anomalies["tcp-message-incomplete"] += 1
                return
            if message is None:
                return
            found.append((candidate, message))
            if not self._parsers.is_sequence(stream.kind):
                return
            stream.consume(message.size)
            if not stream.data:
                return
            _, candidate = stream.heads.pop(stream.start, (stream.kind, candidate))
