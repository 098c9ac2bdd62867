cdef class Payloads:
    cdef const unsigned char[::1] data

    cdef long long u16(self, Py_ssize_t at) noexcept nogil
    cdef long long u32(self, Py_ssize_t at) noexcept nogil
    cdef int tls(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef long long tls_need(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int http(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int http_begun(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef long long http_need(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t blank_line(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int quic(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int dns(self, Py_ssize_t at, Py_ssize_t end, Py_ssize_t wire_end) noexcept nogil
