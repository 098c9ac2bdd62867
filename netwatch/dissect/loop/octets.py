# cython: language_level=3, boundscheck=False, wraparound=False
"""Bytes that are moved in the packet loop, their bounds checked once and not for each."""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def copy(
    data: cython.const[cython.uchar][::1],
    at: cython.Py_ssize_t,
    size: cython.Py_ssize_t,
    out: cython.uchar[::1],
    to: cython.Py_ssize_t,
) -> cython.bint:
    """Copy the `size` bytes at `at` to `to`; false, and nothing is done, where they are not
    there or find no room."""
    i: cython.Py_ssize_t
    if size < 0 or at < 0 or to < 0 or at > len(data) - size or to > len(out) - size:
        return False
    for i in range(size):
        out[to + i] = data[at + i]
    return True
