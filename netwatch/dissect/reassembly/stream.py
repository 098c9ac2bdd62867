"""One side of one TCP flow: segments in any order in, contiguous bytes out.

Positions are counted from an origin: the first buffered segment, later the start of the first
message. Callers therefore need not care about the wraparound of sequence numbers (RFC 9293 section
3.4), nor about segments from before the origin.

A retransmission is not read again, but other bytes at the place of a message are, and a side that
was silent continues where it stopped.
"""

from collections import OrderedDict
from heapq import heapify, heappop, heappush, nsmallest

from netwatch.dissect.candidate import Candidate
from netwatch.dissect.reassembly.stream_parsers import Side

MAX_POSSIBLE_HEADS = 64
"""Short segments after missing bytes to try as the start of a message."""

NEVER = 0x7FFFFFFFFFFFFFFF
"""Later than any packet, in ns since the epoch."""

SEQUENCE_MASK = 0xFFFFFFFF
_HALF = 0x80000000

MAX_BYTES = 16 << 20
"""Bytes of messages to remember."""

MAX_COMPARED = 8
"""Messages of a side to compare a segment with, last one first."""


class Stream:
    """The buffered segments of one side, and the message that is being reassembled.

    A *head* is a segment that looks like the start of a message; `heads` has the kind and the
    candidate of each, by position. `possible_heads` has the candidates of segments that are too
    short to look like one. `kind` is the kind of the message, 0 while no head is known. `start` is
    the position of its first byte and `data` its contiguous bytes so far, of which a parser needs
    at least `need`. `segments` are the ones that are not contiguous yet, by position, and `order`
    is a heap of these positions. `size` counts all buffered bytes, `refused` the segments that
    turned out not to be heads. `capture_end` is the position at which the snap length cut a
    segment, None if none was.

    `others` are bytes that differ from those already at their places, in order of arrival. A stream
    that `is_newest` is assembled from these: if the message at its place was read, `base` has its
    bytes, for what does not come again.
    """

    __slots__ = (
        "base",
        "capture_end",
        "data",
        "heads",
        "is_newest",
        "kind",
        "latest",
        "need",
        "order",
        "origin",
        "others",
        "possible_heads",
        "refused",
        "segments",
        "size",
        "start",
        "time",
    )

    def __init__(self, seq: int, time: int) -> None:
        self.origin = seq
        self.time = time
        self.kind = 0
        self.start = 0
        self.data = bytearray()
        self.need = 0
        self.refused = 0
        self.size = 0
        self.capture_end: int | None = None
        self.is_newest = False
        self.latest: Candidate | None = None
        self.base = b""
        self.others: list[tuple[int, bytes]] = []
        self.segments: dict[int, bytes] = {}
        self.order: list[int] = []
        self.heads: dict[int, tuple[int, Candidate]] = {}
        self.possible_heads: dict[int, Candidate] = {}

    def position(self, seq: int) -> int:
        """A sequence number as a position; negative before the origin."""
        return ((seq - self.origin + _HALF) & SEQUENCE_MASK) - _HALF

    @property
    def seq(self) -> int:
        """The sequence number of the first byte of the message."""
        return (self.origin + self.start) & SEQUENCE_MASK

    @property
    def is_cut(self) -> bool:
        """Whether `data` ends where the snap length cut a segment."""
        return self.capture_end == self.start + len(self.data)

    def buffer(self, position: int, payload: bytes) -> None:
        """Buffer a segment; of two at one position the longer. If segments overlap with different
        bytes, the first ones are used and the others added to `others`; a stream that `is_newest`
        uses the newest."""
        if self.kind and position + len(payload) <= self.start + len(self.data):
            self._overlap(position, payload)
            return
        buffered = self.segments.get(position)
        if buffered is None:
            heappush(self.order, position)
            buffered = b""
        elif not payload.startswith(buffered[: len(payload)]):
            if self.is_newest:
                buffered, payload = payload, buffered
            else:
                self.others.append((position, payload))
        elif len(buffered) >= len(payload):
            return
        joined = buffered + payload[len(buffered) :]
        self.size += len(joined) - len(self.segments.get(position, b""))
        self.segments[position] = joined

    def _overlap(self, position: int, payload: bytes) -> None:
        """Compare bytes with those at their place in `data`."""
        at = position - self.start
        if at < 0:
            at, payload = 0, payload[-at:]
        known = self.data[at : at + len(payload)]
        if known == payload[: len(known)]:
            return
        if self.is_newest:
            self.data[at : at + len(known)] = payload[: len(known)]
        else:
            self.others.append((position, payload))

    def fork(self) -> "Stream":
        """A stream with the same bytes except for `others`, which replace them."""
        fork = Stream(self.origin, self.time)
        fork.is_newest = True
        fork.kind, fork.start, fork.size = self.kind, self.start, self.size
        fork.data = bytearray(self.data)
        fork.segments, fork.order = dict(self.segments), list(self.order)
        fork.heads, fork.capture_end = dict(self.heads), self.capture_end
        for position, payload in self.others:
            fork.buffer(position, payload)
        return fork

    def on_base(self) -> bytes:
        """The bytes of the message, with those of `base` where none came. It may start before the
        message."""
        pieces = sorted([*self.segments.items(), (self.start, bytes(self.data))])
        low, end = min(0, pieces[0][0]), pieces[0][0]
        for position, payload in pieces:
            if position <= min(end, 0):
                end = max(end, position + len(payload))
        low = low if end >= 0 else 0
        joined = bytearray(-low) + self.base
        for position, payload in pieces:
            if 0 <= position - low <= len(joined):
                joined[position - low : position - low + len(payload)] = payload
        return bytes(joined)

    def start_message(self, kind: int, position: int) -> None:
        """Expect a message at a position; contiguous bytes before it are discarded."""
        self.kind, self.start, self.need = kind, position, 0
        self.size -= len(self.data)
        self.data = bytearray()
        self.heads = {at: head for at, head in self.heads.items() if at >= position}

    def extend(self) -> None:
        """Move buffered segments that continue the message into `data`."""
        order, segments, data = self.order, self.segments, self.data
        while order and order[0] <= self.start + len(data):
            position = heappop(order)
            payload = segments.pop(position)
            overlap = self.start + len(data) - position
            self._overlap(position, payload[:overlap])
            data += memoryview(payload)[overlap:]
            self.size -= min(overlap, len(payload))

    def consume(self, size: int) -> None:
        """Discard a message of `size` bytes that was read; the next one may follow it."""
        del self.data[:size]
        self.size -= size
        self.start += size
        self.need = 0
        self.heads = {at: head for at, head in self.heads.items() if at >= self.start}

    def next_head(self) -> int | None:
        """The lowest position of an unread head."""
        return min(self.heads, default=None)

    def rewind(self) -> None:
        """Put `data` back among the segments, so that a message may start elsewhere."""
        if self.data:
            self.segments[self.start] = bytes(self.data)
            self.order.append(self.start)
            heapify(self.order)
            self.data = bytearray()

    def clear(self) -> None:
        """Discard all buffered segments, and expect no message."""
        self.kind = 0
        self.size = 0
        self.segments.clear()

    def add_possible_head(self, position: int, candidate: Candidate) -> None:
        """Note a segment that may start a message, but is too short to look like one."""
        if len(self.possible_heads) < MAX_POSSIBLE_HEADS:
            self.possible_heads.setdefault(position, candidate)

    def first_positions(self, limit: int) -> list[int]:
        """The positions of the lowest buffered segments, at most `limit` of them."""
        return nsmallest(limit, self.order)

    def bytes_at(self, position: int) -> bytes:
        """The contiguous bytes of the segment at a position and of the following ones (64 or a few
        more)."""
        data = bytearray()
        while len(data) < 64 and position in self.segments:
            segment = self.segments[position]
            data += segment
            position += len(segment)
        return bytes(data)


class Segment:
    """The payload of a TCP segment: `kind` is what it looks like (0: unknown), `seq` its sequence
    number, `truncated` whether the snap length cut it."""

    __slots__ = ("candidate", "kind", "payload", "seq", "side", "truncated")

    def __init__(
        self,
        candidate: Candidate,
        payload: bytes,
        *,
        kind: int,
        side: Side,
        seq: int,
        truncated: bool,
    ) -> None:
        self.candidate = candidate
        self.payload = payload
        self.kind = kind
        self.side = side
        self.seq = seq
        self.truncated = truncated

    def on(self, side: Side) -> "Segment":
        """The same segment on another side."""
        return Segment(
            self.candidate,
            self.payload,
            kind=self.kind,
            side=side,
            seq=self.seq,
            truncated=self.truncated,
        )


class ReadMessages:
    """The last messages that were read, at most `limit`, the last message of each side, and the
    positions of sides that were forgotten between two messages."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._starts: OrderedDict[tuple[Side, int], bytes] = OrderedDict()
        self._of_side: dict[Side, list[int]] = {}
        self._last: OrderedDict[Side, tuple[int, int]] = OrderedDict()
        self._between: OrderedDict[Side, tuple[int, int]] = OrderedDict()

    def add(self, side: Side, seq: int, data: bytes) -> None:
        """Remember that a message at a sequence number was read."""
        self._forget(side, seq)
        self._starts[(side, seq)] = data
        self._of_side.setdefault(side, []).append(seq)
        self._bytes += len(data)
        while len(self._starts) > self._limit or self._bytes > MAX_BYTES:
            self._forget(*next(iter(self._starts)))

    def _forget(self, side: Side, seq: int) -> None:
        data = self._starts.pop((side, seq), None)
        if data is not None:
            self._bytes -= len(data)
            self._of_side[side].remove(seq)
            if not self._of_side[side]:
                del self._of_side[side]

    def end(self, side: Side, seq: int, size: int) -> None:
        """Remember that no more bytes are expected on a side, whose last message had `size`
        bytes from a sequence number on."""
        self._between.pop(side, None)
        self._last[side] = seq, size
        if len(self._last) > self._limit:
            self._last.popitem(last=False)

    def pause(self, side: Side, kind: int, seq: int) -> None:
        """Remember that a side may continue with a message of this kind at a sequence number."""
        self._last.pop(side, None)
        self._between[side] = kind, seq
        if len(self._between) > self._limit:
            self._between.popitem(last=False)

    def between(self, side: Side) -> tuple[int, int] | None:
        """The kind of message that a side may continue with, and the sequence number; this call
        forgets it. None if it is not between two messages."""
        return self._between.pop(side, None)

    def has_ended(self, side: Side, seq: int) -> bool:
        """Whether no more bytes are expected on a side, and a sequence number is not before its
        last message: bytes before it were sent earlier."""
        start, size = self._last.get(side, (0, 0))
        return side in self._last and (
            size == 0 or (seq - start) & SEQUENCE_MASK <= SEQUENCE_MASK >> 1
        )

    def of_side(self, side: Side) -> list[tuple[int, bytes]]:
        """The sequence numbers and bytes of the last messages of a side."""
        starts = self._of_side.get(side, ())[-MAX_COMPARED:]
        return [(start, self._starts[(side, start)]) for start in starts]

    def starting_at(self, side: Side, seq: int) -> bytes | None:
        """The bytes of the message that started at a sequence number, None if none was read."""
        return self._starts.get((side, seq))

    def message_at(self, side: Side, seq: int) -> tuple[int, bytes] | None:
        """The sequence number and the bytes of the message that includes a sequence number, the
        last one of several; None if none of the last ones does."""
        for start in self._of_side.get(side, ())[: -MAX_COMPARED - 1 : -1]:
            data = self._starts[(side, start)]
            if start == seq or (seq - start) & SEQUENCE_MASK < len(data):
                return start, data
        return None
