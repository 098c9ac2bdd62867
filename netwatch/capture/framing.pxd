cimport cython

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
