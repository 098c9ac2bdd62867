cimport cython
from netwatch.dissect.loop.octets cimport Window

@cython.final
cdef class PrefaceMasks(Window):
    cdef const unsigned char[::1] first_bytes

    @cython.boundscheck(True)
    cdef inline bint possible(self, Py_ssize_t at) noexcept nogil:
        return self.first_bytes[self.data[at]] != 0

    cdef Py_ssize_t proxy(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint tds_hello(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int socks(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int server_hello(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int http2(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int dtls(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int gquic(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint letters(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
