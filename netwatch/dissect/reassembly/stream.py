"""One side of one TCP flow: segments in any order in, contiguous bytes out.

Positions are counted from an origin (the first segment kept, then the head of the
first message), so that the wrap of the sequence number (RFC 9293 section 3.4) and
segments from before the origin need no care behind this module.
"""

from heapq import heapify, heappop, heappush

from netwatch.dissect.candidate import Seen

_SEQ = 0xFFFFFFFF
_HALF = 0x80000000


class Stream:
    """Kept segments, and the message that is being put together from its head on.

    `kind` is the protocol, 0 while no head is known; `data` the contiguous bytes from
    the head; `need` how many of them are worth a parser's look; `refused` how many heads
    were none; `size` all bytes held;
    `heads` the packet and kind of each segment that looked like a head, by position.
    """

    __slots__ = (
        "cut",
        "data",
        "heads",
        "kept",
        "kind",
        "need",
        "order",
        "origin",
        "refused",
        "size",
        "taken",
        "time",
    )

    def __init__(self, seq: int, time: int) -> None:
        self.origin = seq
        self.time = time
        self.kind = 0
        self.taken = 0
        self.data = bytearray()
        self.need = 0
        self.refused = 0
        self.size = 0
        self.cut: int | None = None
        self.kept: dict[int, bytes] = {}
        self.order: list[int] = []
        self.heads: dict[int, tuple[int, Seen]] = {}

    def position(self, seq: int) -> int:
        """A sequence number as a position; negative before the origin."""
        return ((seq - self.origin + _HALF) & _SEQ) - _HALF

    def keep(self, position: int, payload: bytes) -> None:
        """Keep a segment; of two at one position the longer. The first byte seen at a
        position that was already read stands."""
        if self.kind and position + len(payload) <= self.taken + len(self.data):
            return
        known = self.kept.get(position)
        if known is None:
            heappush(self.order, position)
        elif len(known) >= len(payload):
            return
        self.kept[position] = payload
        self.size += len(payload) - len(known or b"")

    def start(self, kind: int, position: int) -> None:
        """A message starts at `position`; what lay before it is let go."""
        self.kind, self.taken, self.need = kind, position, 0
        self.size -= len(self.data)
        self.data = bytearray()
        self.heads = {at: head for at, head in self.heads.items() if at >= position}

    def grow(self) -> None:
        """Move kept segments that continue the message into `data`."""
        order, kept, data = self.order, self.kept, self.data
        while order and order[0] <= self.taken + len(data):
            position = heappop(order)
            payload = kept.pop(position)
            known = self.taken + len(data) - position
            data += memoryview(payload)[known:]
            self.size -= min(known, len(payload))

    def consume(self, size: int) -> None:
        """A message of `size` bytes was read; the next may start behind it."""
        del self.data[:size]
        self.size -= size
        self.taken += size
        self.need = 0
        self.heads = {at: head for at, head in self.heads.items() if at >= self.taken}

    def next_head(self) -> int | None:
        """The lowest position of a segment that looked like a head and was not read."""
        return min(self.heads, default=None)

    def rewind(self) -> None:
        """Give `data` back to the kept segments, so that a message may start elsewhere."""
        if self.data:
            self.kept[self.taken] = bytes(self.data)
            self.order.append(self.taken)
            heapify(self.order)
            self.data = bytearray()

    def opening(self) -> tuple[int, bytes]:
        """The position of the lowest kept segment, and the first bytes from there on."""
        position = at = self.order[0]
        data = bytearray()
        while len(data) < 64 and at in self.kept:
            data += self.kept[at]
            at += len(self.kept[at])
        return position, bytes(data)
