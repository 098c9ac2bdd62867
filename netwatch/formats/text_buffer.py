# cython: language_level=3, boundscheck=True, wraparound=False
"""A buffer of UTF-8 that grows, and texts in it by their places."""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.libc.string import memcpy

from netwatch.core.buffers import Buffer

PLACE_SHIFT = cython.declare(cython.int, 32)
PLACE_MASK = cython.declare(cython.longlong, 0xFFFFFFFF)


@cython.final
@cython.cclass
class TextBuffer:
    """The bytes of texts, one behind the other, of which `used` are written.

    The place of a text is where it starts, shifted by 32 bits, and its size in bytes.
    """

    def __init__(self, size: int) -> None:
        self.octets: Buffer = bytearray(size)
        self.used = 0

    def reserve(self, size: cython.Py_ssize_t) -> cython.int:
        """Make room for so many more bytes."""
        if self.used + size > len(self.octets):
            larger = bytearray(2 * (self.used + size))
            memoryview(larger)[: self.used] = memoryview(self.octets)[: self.used]
            self.octets = larger
        return 0

    def place_since(self, start: cython.Py_ssize_t) -> cython.longlong:
        """The place of the text that begins at `start` and ends with the buffer."""
        return cython.cast(cython.longlong, start) << PLACE_SHIFT | (self.used - start)

    def add(self, other: "TextBuffer", place: cython.longlong) -> cython.int:
        """Add a text of another buffer. It copies by itself: handing on a view of the bytes takes
        longer than copying a text."""
        i: cython.Py_ssize_t
        start: cython.Py_ssize_t = place >> PLACE_SHIFT
        size: cython.Py_ssize_t = place & PLACE_MASK
        if size == 0 or start + size > other.used:
            return 0
        if self.used + size > len(self.octets):
            self.reserve(size)
        if cython.compiled:
            memcpy(
                cython.address(self.octets[self.used]), cython.address(other.octets[start]), size
            )
        else:
            for i in range(size):
                self.octets[self.used + i] = other.octets[start + i]
        self.used += size
        return 0

    def add_octets(
        self, octets: Buffer, start: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.int:
        """Add the `size` bytes at `start`."""
        i: cython.Py_ssize_t
        if size <= 0 or start < 0 or start + size > len(octets):
            return 0
        self.reserve(size)
        if cython.compiled:
            memcpy(cython.address(self.octets[self.used]), cython.address(octets[start]), size)
        else:
            for i in range(size):
                self.octets[self.used + i] = octets[start + i]
        self.used += size
        return 0

    def add_text(self, text: str) -> int:
        """Add a text; its place."""
        raw = bytearray(text.encode())
        start: cython.Py_ssize_t = self.used
        self.add_octets(raw, 0, len(raw))
        return self.place_since(start)

    def take(self) -> str:
        """All texts as one, which are removed."""
        text = str(memoryview(self.octets)[: self.used], "utf-8")
        self.used = 0
        return text
