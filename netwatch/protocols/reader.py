# cython: language_level=3, boundscheck=True, wraparound=False
"""The bounded cursor that the parsers read through.

A message says how long its own parts are, and a hostile one lies. A `Reader` stands on
a span of bytes and never leaves it: whatever would run past its end is a `ParseError`
under the name that the parser gave the reader. All numbers are in network byte order.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.errors import ParseError


@cython.cclass
class Reader:
    """A cursor over ``data[pos:end]``; `anomaly` names a read past `end`.

    `data` is not copied. `pos` is the offset of the next byte to read and `end` that of
    the first byte out of bounds, both in bytes from the start of `data`; an `end` behind
    the data is taken back to it. Every method raises `ParseError` where the span ends
    first, and then has not moved.
    """

    __slots__ = ("anomaly", "data", "end", "pos")

    def __init__(self, data: bytes, anomaly: str, pos: int = 0, end: int | None = None) -> None:
        self.data = data
        self.anomaly = anomaly
        self.pos = pos
        self.end = len(data) if end is None else min(end, len(data))

    @property
    def left(self) -> int:
        """How many bytes are left, never negative."""
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
    def take(self, size: cython.longlong) -> bytes:
        """The next `size` bytes."""
        pos: cython.Py_ssize_t = self.pos
        if size > self.end - pos:
            raise ParseError(self.anomaly)
        self.pos = pos + size
        return self.data[pos : pos + size]

    @cython.ccall
    def vector(self, size: cython.Py_ssize_t) -> bytes:
        """The bytes behind a length of `size` bytes: ``opaque<0..n>`` of RFC 8446 3.4."""
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
