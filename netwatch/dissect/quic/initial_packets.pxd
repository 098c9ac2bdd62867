cimport cython
from netwatch.dissect.quic.aes_gcm cimport Gcm
from netwatch.dissect.quic.sha256 cimport Sha256


@cython.final
cdef class Keys:
    cdef readonly Sha256 sha
    cdef unsigned int[::1] made

    cdef void mac(self, Py_ssize_t block, Py_ssize_t pads, Py_ssize_t to) noexcept nogil
    cdef void pad(self, Py_ssize_t secret) noexcept nogil
    cdef void derive(self, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t size, Py_ssize_t version) noexcept nogil


@cython.final
cdef class InitialPackets:
    cdef readonly Keys keys
    cdef readonly Gcm gcm
    cdef unsigned char[::1] header
    cdef unsigned char[::1] plain
    cdef unsigned int[::1] nonce
    cdef unsigned char[::1] connection
    cdef Py_ssize_t pos
    cdef Py_ssize_t packet_end

    cdef long long varint(self, const unsigned char[::1] data, Py_ssize_t end) noexcept nogil
    cdef void derive(self, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t version) noexcept nogil
    cdef Py_ssize_t open(self, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t unprotect(self, const unsigned char[::1] data, Py_ssize_t at) noexcept nogil
    cdef unsigned int mask(self, Py_ssize_t i) noexcept nogil
    cdef bint sealed(self, const unsigned char[::1] data, Py_ssize_t header) noexcept nogil
