# cython: language_level=3, boundscheck=True, wraparound=False
"""The bounded cursor through which the parsers read.

A message contains the lengths of its parts, and a malicious message contains wrong ones. A `Reader`
never leaves its range of bytes: reading beyond the end raises a `ParseError` with the reader's
anomaly. All numbers are in network byte order.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.errors import ParseError


@cython.cclass
class Reader:
    """A cursor over ``data[pos:end]``; `anomaly` is the anomaly of a read beyond `end`.

    `data` is not copied. `pos` is the offset of the next byte to read and `end` the offset of the
    first byte out of bounds, both in bytes from the start of `data`; `end` is limited to the length
    of the data. Every method raises `ParseError` if the range ends first, and then does not move.
    """

    __slots__ = ("anomaly", "data", "end", "pos")

    def __init__(self, data: bytes, anomaly: str, pos: int = 0, end: int | None = None) -> None:
        self.data = data
        self.anomaly = anomaly
        self.pos = pos
        self.end = len(data) if end is None else min(end, len(data))

    @property
    def remaining(self) -> int:
        """The number of unread bytes, never negative."""
        return max(0, self.end - self.pos)

    @cython.ccall
    @cython.exceptval(-1, check=False)
    def uint(self, size: cython.Py_ssize_t) -> cython.longlong:
        """An unsigned integer of `size` bytes, at most 7."""
        at: cython.Py_ssize_t
        value: cython.longlong = 0
        end: cython.Py_ssize_t = self.pos + size
        if end > self.end:
            raise ParseError(self.anomaly)
        for at in range(self.pos, end):
            value = value << 8 | self.data[at]
        self.pos = end
        return value

    @cython.ccall
    def read(self, size: cython.longlong) -> bytes:
        """The next `size` bytes."""
        pos: cython.Py_ssize_t = self.pos
        if size > self.end - pos:
            raise ParseError(self.anomaly)
        self.pos = pos + size
        return self.data[pos : pos + size]

    @cython.ccall
    def vector(self, size: cython.Py_ssize_t) -> bytes:
        """The bytes after a length of `size` bytes: ``opaque<0..n>`` of RFC 8446 section 3.4."""
        pos: cython.Py_ssize_t = self.pos
        length: cython.longlong = self.uint(size)
        if length > self.end - self.pos:
            self.pos = pos
            raise ParseError(self.anomaly)
        pos = self.pos
        self.pos = pos + length
        return self.data[pos : pos + length]

    @cython.ccall
    @cython.exceptval(-1, check=False)
    def varint(self) -> cython.longlong:
        """A variable-length integer of QUIC, 1 to 8 bytes (RFC 9000 section 16)."""
        size: cython.Py_ssize_t
        if self.pos >= self.end:
            raise ParseError(self.anomaly)
        size = 1 << (self.data[self.pos] >> 6)
        if size > self.end - self.pos:
            raise ParseError(self.anomaly)
        value: cython.longlong = self.data[self.pos] & 0x3F
        at: cython.Py_ssize_t
        for at in range(self.pos + 1, self.pos + size):
            value = value << 8 | self.data[at]
        self.pos += size
        return value
