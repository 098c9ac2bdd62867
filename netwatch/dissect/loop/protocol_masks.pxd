cimport cython
from netwatch.dissect.loop.octets cimport Window

@cython.final
cdef class ProtocolMasks(Window):
    cdef int tls(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t behind_skipped(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef long long tls_expected(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int http(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int http_beginning(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef long long http_expected(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t head_end(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int quic(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int dns(self, Py_ssize_t at, Py_ssize_t end, Py_ssize_t wire_end) noexcept nogil
