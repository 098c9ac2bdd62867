"""Which bytes of a stream were read before: a retransmission is not read again, and a side that was
silent goes on where it stood."""

from netwatch.dissect.reassembly.stream import SEQUENCE_MASK
from netwatch.dissect.reassembly.stream_parsers import Side


class ReadMessages:
    """The last messages that were read, at most `limit`, the last message of each side, and where
    sides stand that were forgotten between two messages."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._starts: dict[tuple[Side, int], None] = {}
        self._last: dict[Side, tuple[int, int]] = {}
        self._between: dict[Side, tuple[int, int]] = {}

    def add(self, side: Side, seq: int) -> None:
        """Remember that a message at a sequence number was read."""
        self._starts[(side, seq)] = None
        if len(self._starts) > self._limit:
            del self._starts[next(iter(self._starts))]

    def end(self, side: Side, seq: int, size: int) -> None:
        """Remember that no more bytes are expected on a side, whose last message had `size`
        bytes from a sequence number on."""
        self._between.pop(side, None)
        self._last[side] = seq, size
        if len(self._last) > self._limit:
            del self._last[next(iter(self._last))]

    def pause(self, side: Side, kind: int, seq: int) -> None:
        """Remember that a side may go on with a message of this kind at a sequence number."""
        self._last.pop(side, None)
        self._between[side] = kind, seq
        if len(self._between) > self._limit:
            del self._between[next(iter(self._between))]

    def between(self, side: Side) -> tuple[int, int] | None:
        """The kind of message that a side may go on with, and the sequence number; forgotten
        with this call. None where it is not between two messages."""
        return self._between.pop(side, None)

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
