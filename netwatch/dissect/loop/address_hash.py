# cython: language_level=3, boundscheck=True, wraparound=False
"""A hash of addresses as they are in packets."""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.dissect.loop.octets import Window

MIX = cython.declare(cython.ulonglong, 0x1E3779B97F4A7C15)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)


@cython.cclass
class AddressHash(Window):
    """Hashes addresses."""

    def hashed(
        self, hash_: cython.ulonglong, at: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.ulonglong:
        """The hash with an address of `size` bytes (a multiple of four) added to it."""
        stop: cython.Py_ssize_t = at + size
        word: cython.ulonglong
        while at < stop:
            word = self.u32(at)
            hash_ = ((hash_ ^ word) * MIX) & LOW63
            hash_ ^= hash_ >> 29
            at += 4
        return hash_
