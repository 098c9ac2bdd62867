cimport cython
from netwatch.dissect.quic.aes_gcm cimport Gcm
from netwatch.dissect.quic.initial_keys cimport Keys


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
