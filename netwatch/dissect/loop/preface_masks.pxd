from netwatch.dissect.loop.protocol_masks cimport Payloads

cdef class Prefaces(Payloads):
    cdef const unsigned char[::1] leads

    cdef Py_ssize_t proxy(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int socks(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int server_hello(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int http2(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int dtls(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int gquic(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint letters(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
