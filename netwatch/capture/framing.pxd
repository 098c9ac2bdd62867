cimport cython

cdef extern from "prefetch.h" nogil:
    void netwatch_prefetch(const unsigned char *address)

@cython.boundscheck(True)
@cython.wraparound(False)
cdef inline long long u32(const unsigned char[::1] data, Py_ssize_t at, bint big) except? -1 nogil:
    cdef long long a = data[at]
    cdef long long b = data[at + 1]
    cdef long long c = data[at + 2]
    cdef long long d = data[at + 3]
    if big:
        return (a << 24) | (b << 16) | (c << 8) | d
    return (d << 24) | (c << 16) | (b << 8) | a


cdef inline void expect_packet(
    const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t end, Py_ssize_t next_one
) noexcept nogil:
    # The frame of a packet at `at` and, where the next one is as long, the header of the one after
    # it.
    if at + 192 < end:
        netwatch_prefetch(&data[0] + at + 64)
        netwatch_prefetch(&data[0] + at + 128)
        netwatch_prefetch(&data[0] + at + 192)
    if next_one < end:
        netwatch_prefetch(&data[0] + next_one)
