"""Which bytes of a stream were read before: a retransmission is not read again, other bytes at the
place of a message are, and a side that was silent goes on where it stood."""

from netwatch.dissect.reassembly.stream import SEQUENCE_MASK
from netwatch.dissect.reassembly.stream_parsers import Side

MAX_BYTES = 16 << 20
"""Bytes of messages that are remembered."""


MAX_COMPARED = 8
"""Messages of a side that a segment is compared with, the last one first."""


class ReadMessages:
    """The last messages that were read, at most `limit`, the last message of each side, and where
    sides stand that were forgotten between two messages."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._starts: dict[tuple[Side, int], bytes] = {}
        self._of_side: dict[Side, list[int]] = {}
        self._last: dict[Side, tuple[int, int]] = {}
        self._between: dict[Side, tuple[int, int]] = {}

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
        """Whether no more bytes are expected on a side, and a sequence number is not before its
        last message: what comes there was sent before."""
        start, size = self._last.get(side, (0, 0))
        return side in self._last and (
            size == 0 or (seq - start) & SEQUENCE_MASK <= SEQUENCE_MASK >> 1
        )

    def of_side(self, side: Side) -> list[tuple[int, bytes]]:
        """The sequence numbers and bytes of the last messages of a side."""
        starts = self._of_side.get(side, ())[-MAX_COMPARED:]
        return [(start, self._starts[(side, start)]) for start in starts]

    def starting_at(self, side: Side, seq: int) -> bytes | None:
        """The bytes of the message that started at a sequence number, None where none was read."""
        return self._starts.get((side, seq))

    def message_at(self, side: Side, seq: int) -> tuple[int, bytes] | None:
        """The sequence number and the bytes of the message that has a byte with a sequence number,
        the last one of several; None where none of the last ones has."""
        for start in self._of_side.get(side, ())[: -MAX_COMPARED - 1 : -1]:
            data = self._starts[(side, start)]
            if start == seq or (seq - start) & SEQUENCE_MASK < len(data):
                return start, data
        return None
