"""Which bytes of a stream were read before: a retransmission is not read again, other bytes at the
place of a message are, and a side that was silent goes on where it stood."""

from netwatch.dissect.reassembly.stream import SEQUENCE_MASK
from netwatch.dissect.reassembly.stream_parsers import Side

MAX_BYTES = 16 << 20
"""Bytes of messages that are remembered."""


class ReadMessages:
    """The last messages that were read, at most `limit`, the last message of each side, and where
    sides stand that were forgotten between two messages."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._starts: dict[tuple[Side, int], bytes] = {}
        self._last: dict[Side, tuple[int, int]] = {}
        self._between: dict[Side, tuple[int, int]] = {}

    def add(self, side: Side, seq: int, data: bytes) -> None:
        """Remember that a message at a sequence number was read."""
        self._bytes += len(data) - len(self._starts.pop((side, seq), b""))
        self._starts[(side, seq)] = data
        while len(self._starts) > self._limit or self._bytes > MAX_BYTES:
            self._bytes -= len(self._starts.pop(next(iter(self._starts))))

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

    def has_ended(self, side: Side, seq: int) -> bool:
        """Whether no more bytes are expected on a side, and a sequence number is not before its last
        message: what comes there was sent before."""
        start, size = self._last.get(side, (0, 0))
        return side in self._last and (
            size == 0 or (seq - start) & SEQUENCE_MASK <= SEQUENCE_MASK >> 1
        )

    def message_at(self, side: Side, seq: int, *, is_last: bool) -> tuple[int, bytes] | None:
        """The sequence number and the bytes of the message that a segment at a sequence number is
        part of: it starts there, or `is_last` of its side and has ended."""
        data = self._starts.get((side, seq))
        if data is not None:
            return seq, data
        start, size = self._last.get(side, (0, 0))
        if is_last and (seq - start) & SEQUENCE_MASK < size:
            return start, self._starts.get((side, start), b"")
        return None
