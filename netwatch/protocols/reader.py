"""The bounded cursor that the parsers read through.

A message says how long its own parts are, and a hostile one lies. A `Reader` stands on
a span of bytes and never leaves it: whatever would run past its end is a `ParseError`
under the name that the parser gave the reader. All numbers are in network byte order.
"""

from netwatch.errors import ParseError


class Reader:
    """A cursor over ``data[pos:end]``; `oddity` names a read past `end`.

    `data` is not copied. `pos` is the offset of the next byte to read and `end` that of
    the first byte out of bounds, both in bytes from the start of `data`; an `end` behind
    the data is taken back to it. Every method raises `ParseError` where the span ends
    first, and then has not moved.
    """

    __slots__ = ("data", "end", "oddity", "pos")

    def __init__(self, data: bytes, oddity: str, pos: int = 0, end: int | None = None) -> None:
        self.data = data
        self.oddity = oddity
        self.pos = pos
        self.end = len(data) if end is None else min(end, len(data))

    @property
    def left(self) -> int:
        """How many bytes are left, never negative."""
        return max(0, self.end - self.pos)

    def uint(self, size: int) -> int:
        """An unsigned integer of `size` bytes."""
        pos = self.pos
        end = pos + size
        if end > self.end:
            raise ParseError(self.oddity)
        self.pos = end
        return int.from_bytes(self.data[pos:end])

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        pos = self.pos
        end = pos + size
        if end > self.end:
            raise ParseError(self.oddity)
        self.pos = end
        return self.data[pos:end]

    def vector(self, size: int) -> bytes:
        """The bytes behind a length of `size` bytes: ``opaque<0..n>`` of RFC 8446 3.4."""
        start = self.pos + size
        if start > self.end:
            raise ParseError(self.oddity)
        end = start + int.from_bytes(self.data[self.pos : start])
        if end > self.end:
            raise ParseError(self.oddity)
        self.pos = end
        return self.data[start:end]

    def varint(self) -> int:
        """A variable-length integer of QUIC, 1 to 8 bytes (RFC 9000 section 16)."""
        pos = self.pos
        if pos >= self.end:
            raise ParseError(self.oddity)
        first = self.data[pos]
        if first < 0x40:
            self.pos = pos + 1
            return first
        size = 1 << (first >> 6)
        end = pos + size
        if end > self.end:
            raise ParseError(self.oddity)
        self.pos = end
        return int.from_bytes(self.data[pos:end]) & ((1 << (8 * size - 2)) - 1)
