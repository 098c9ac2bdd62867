"""One side of one TCP flow: segments in any order in, contiguous bytes out.

Positions are counted from an origin: the first buffered segment, later the start of the first
message. Callers therefore need not care about the wrap of sequence numbers (RFC 9293 section
3.4), nor about segments from before the origin.
"""

from heapq import heapify, heappop, heappush, nsmallest

from netwatch.dissect.candidate import Candidate

MAX_POSSIBLE_HEADS = 64
"""Short segments behind missing bytes that are tried as the start of a message."""

NEVER = 0x7FFFFFFFFFFFFFFF
"""Later than any packet, in ns since the epoch."""

SEQUENCE_MASK = 0xFFFFFFFF
_HALF = 0x80000000


class Stream:
    """The buffered segments of one side, and the message that is being put together.

    A *head* is a segment that looks like the start of a message; `heads` has the kind and the
    candidate of each, by position. `possible_heads` has the candidates of segments that are too
    short to look like one. `kind` is that of the message, 0 while no head is known.
    `start` is the position of its first byte and `data` its contiguous bytes so far, of which
    a parser needs at least `need`. `segments` are those that are not contiguous yet, by
    position, and `order` is a heap of these positions. `size` counts all buffered bytes,
    `refused` the heads that turned out to be none. `capture_end` is the position at which a
    segment was cut by the snap length, None where none was.
    """

    __slots__ = (
        "capture_end",
        "data",
        "heads",
        "kind",
        "need",
        "order",
        "origin",
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
        """Buffer a segment; of two at one position the longer. Where segments overlap, the
        bytes that were read first are used."""
        if self.kind and position + len(payload) <= self.start + len(self.data):
            return
        buffered = self.segments.get(position)
        if buffered is None:
            heappush(self.order, position)
        elif len(buffered) >= len(payload):
            return
        self.segments[position] = payload
        self.size += len(payload) - len(buffered or b"")

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
        """The lowest position of a head that was not read yet."""
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
        """The contiguous bytes of the segment at a position and of those that follow it (64 or a
        few more)."""
        data = bytearray()
        while len(data) < 64 and position in self.segments:
            segment = self.segments[position]
            data += segment
            position += len(segment)
        return bytes(data)
