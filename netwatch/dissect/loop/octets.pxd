cimport cython

cdef class Window:
    cdef const unsigned char[::1] data

    @cython.final
    @cython.boundscheck(True)
    cdef inline long long u16(self, Py_ssize_t at) noexcept nogil:
        return (self.data[at] << 8) | self.data[at + 1]

    @cython.final
    @cython.boundscheck(True)
    cdef inline long long u32(self, Py_ssize_t at) noexcept nogil:
        return (self.u16(at) << 16) | self.u16(at + 2)

cdef bint copy(const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t size, unsigned char[::1] out, Py_ssize_t to) noexcept nogil
