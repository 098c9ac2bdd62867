cimport cython

cdef class Payloads:
    cdef const unsigned char[::1] data

    @cython.final
    @cython.boundscheck(True)
    cdef inline long long u16(self, Py_ssize_t at) noexcept nogil:
        return (self.data[at] << 8) | self.data[at + 1]

    @cython.final
    @cython.boundscheck(True)
    cdef inline long long u32(self, Py_ssize_t at) noexcept nogil:
        return (self.u16(at) << 16) | self.u16(at + 2)

    cdef int tls(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef long long tls_need(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int http(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int http_begun(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef long long http_need(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t blank_line(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int quic(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int dns(self, Py_ssize_t at, Py_ssize_t end, Py_ssize_t wire_end) noexcept nogil
