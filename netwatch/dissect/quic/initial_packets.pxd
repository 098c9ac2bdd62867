cimport cython
from netwatch.dissect.quic.aes_gcm cimport Gcm
from netwatch.dissect.quic.sha256 cimport Sha256


@cython.final
cdef class Keys:
    cdef readonly Sha256 sha
    cdef unsigned int[::1] made
    cdef unsigned char[::1] salts
    cdef unsigned char[::1] prefixes

    cdef void mac(self, Py_ssize_t block, Py_ssize_t pads, Py_ssize_t to) noexcept nogil
    cdef void pad(self, Py_ssize_t secret) noexcept nogil
    cdef void derive(self, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t size, Py_ssize_t version) noexcept nogil


@cython.final
cdef class InitialPackets:
    cdef readonly Keys keys
    cdef readonly Gcm gcm
    cdef unsigned char[::1] header
    cdef readonly unsigned char[::1] plain
    cdef unsigned int[::1] nonce
    cdef long long[::1] numbers
    cdef unsigned char[::1] crypto_types
    cdef unsigned char[::1] connection
    cdef public Py_ssize_t version
    cdef Py_ssize_t id
    cdef public Py_ssize_t pos
    cdef Py_ssize_t packet_end
    cdef long long number
    cdef readonly long long offset
    cdef readonly long long length

    cdef Py_ssize_t version_of(self, long long number) noexcept nogil
    cpdef int packet(self, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cpdef int frame(self, Py_ssize_t size) noexcept nogil
    cdef bint skip_ack(self, Py_ssize_t size, long long kind) noexcept nogil
    cdef Py_ssize_t behind_padding(self, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef long long varint(self, const unsigned char[::1] data, Py_ssize_t end) noexcept nogil
    cdef void derive(self, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t version) noexcept nogil
    cdef Py_ssize_t open(self, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t unprotect(self, const unsigned char[::1] data, Py_ssize_t at, long long largest) noexcept nogil
    cdef unsigned int mask(self, Py_ssize_t i) noexcept nogil
    cdef bint sealed(self, const unsigned char[::1] data, Py_ssize_t header) noexcept nogil

cdef long long full_number(long long number, Py_ssize_t size, long long largest) noexcept nogil
