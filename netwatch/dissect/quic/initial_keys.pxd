cimport cython
from netwatch.dissect.quic.sha256 cimport Sha256

@cython.final
cdef class Keys:
    cdef readonly Sha256 sha
    cdef unsigned int[::1] made

    cdef void mac(self, Py_ssize_t block, Py_ssize_t pads, Py_ssize_t to) noexcept nogil
    cdef void pad(self, Py_ssize_t secret) noexcept nogil
    cdef void derive(self, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t size, Py_ssize_t version) noexcept nogil
