# cython: language_level=3, boundscheck=False, wraparound=False
"""Reading, copying and hashing bytes in the packet loop."""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.libc.string import memcpy
    from cython.cimports.netwatch.dissect.loop.octets import netwatch_prefetch
else:
    from netwatch.core.buffers import word_of

from netwatch.core.buffers import Buffer, Octets

HYPHEN = cython.declare(cython.ulonglong, 45)
HYPHENS = cython.declare(cython.ulonglong, 0x2D2D2D2D2D2D2D2D)

MIX = cython.declare(cython.ulonglong, 0x1E3779B97F4A7C15)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)


@cython.cclass
class Window:
    """The bytes that a part of the loop reads: the packets of one block, or one message.

    Offsets are absolute in `data`. Each reader has a window of its own, which is set once per
    block. An offset outside it is an error in the program: it reads as 0, with a traceback on
    standard error.
    """

    def __init__(self) -> None:
        self.data: Octets = b""

    def set_data(self, data: Octets) -> None:
        """Read these bytes from now on."""
        self.data = data

    if not cython.compiled:
        # The compiled form inlines these from the .pxd.

        def u16(self, at: int) -> int:
            """Two bytes in network order."""
            return (self.data[at] << 8) | self.data[at + 1]

        def u32(self, at: int) -> int:
            """Four bytes in network order."""
            return (self.u16(at) << 16) | self.u16(at + 2)

        def word(self, at: int, size: int) -> int:
            """The `size` bytes at `at`, at most eight, as `core.buffers.word_of` gives them."""
            return word_of(self.data, at, size)

    @cython.boundscheck(True)
    def outside(self, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.longlong:
        """The value of a number of `size` bytes that is not within the window."""
        return self.data[at] + self.data[at + size - 1]

    @cython.boundscheck(True)
    def edge_word(self, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.ulonglong:
        """`word` if fewer than eight bytes are left in the window."""
        word: cython.ulonglong = HYPHENS
        byte: cython.ulonglong
        i: cython.Py_ssize_t
        for i in range(min(size, 8)):
            byte = self.data[at + i]
            word ^= (byte ^ HYPHEN) << (8 * i)
        return word


def fetch_ahead(data: Octets, at: cython.Py_ssize_t) -> cython.void:
    """Prefetch the 128 bytes at `at`, which are read soon and were last written by another core."""
    if cython.compiled and 0 <= at < len(data) - 64:
        netwatch_prefetch(cython.address(data[at]))
        netwatch_prefetch(cython.address(data[at + 64]))


def copy(
    data: Octets,
    at: cython.Py_ssize_t,
    size: cython.Py_ssize_t,
    out: Buffer,
    to: cython.Py_ssize_t,
) -> cython.bint:
    """Copy the `size` bytes at `at` to `to`; false, without doing anything, if they are not there
    or do not fit. Bounds are checked once and not for each byte."""
    i: cython.Py_ssize_t
    if size < 0 or at < 0 or to < 0 or at > len(data) - size or to > len(out) - size:
        return False
    if cython.compiled:
        memcpy(cython.address(out[to]), cython.address(data[at]), size)
    else:
        for i in range(size):
            out[to + i] = data[at + i]
    return True


@cython.cclass
class AddressHash(Window):
    """Hashes addresses."""

    def hashed(
        self, hash_: cython.ulonglong, at: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.ulonglong:
        """The hash with another address of `size` bytes (a multiple of four)."""
        stop: cython.Py_ssize_t = at + size
        word: cython.ulonglong
        while at < stop:
            word = self.u32(at)
            hash_ = ((hash_ ^ word) * MIX) & LOW63
            hash_ ^= hash_ >> 29
            at += 4
        return hash_
