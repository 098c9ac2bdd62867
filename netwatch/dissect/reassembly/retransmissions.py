"""Which bytes of a stream were read before, so that a retransmission is not read again."""

from netwatch.dissect.reassembly.stream import SEQUENCE_MASK
from netwatch.dissect.reassembly.stream_parsers import Side


class ReadMessages:
    """The last messages that were read, at most `limit`, and the last message of each side."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._starts: dict[tuple[Side, int], None] = {}
        self._last: dict[Side, tuple[int, int]] = {}

    def add(self, side: Side, seq: int) -> None:
        """Remember that a message at a sequence number was read."""
        self._starts[(side, seq)] = None
        if len(self._starts) > self._limit:
            del self._starts[next(iter(self._starts))]

    def end(self, side: Side, seq: int, size: int) -> None:
        """Remember that no more bytes are expected on a side, whose last message had `size`
        bytes from a sequence number on."""
        self._last[side] = seq, size
        if len(self._last) > self._limit:
            del self._last[next(iter(self._last))]

    def has_start(self, side: Side, seq: int) -> bool:
        """Whether a message at this sequence number was read."""
        return (side, seq) in self._starts

    def has_ended(self, side: Side) -> bool:
        """Whether no more bytes are expected on a side."""
        return side in self._last

    def is_in_last_message(self, side: Side, seq: int) -> bool:
        """Whether a sequence number is inside of the last message of a side that has ended."""
        start, size = self._last.get(side, (0, 0))
        return (seq - start) & SEQUENCE_MASK < size
