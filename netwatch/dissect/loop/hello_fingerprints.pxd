cimport cython
from netwatch.dissect.loop.client_hello cimport ClientHello
from netwatch.dissect.quic.sha256 cimport Sha256

@cython.final
cdef class HelloFingerprints:
    cdef unsigned char[::1] text
    cdef Sha256 sha
    cdef Py_ssize_t hashed
    cdef long long[::1] numbers
    cdef Py_ssize_t count
    cdef Py_ssize_t split
    cdef long long[::1] known
    cdef unsigned char[::1] digests

    cdef void write(self, ClientHello hello, int transport, int version) noexcept nogil
    cdef void read_numbers(self, ClientHello hello, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef long long read_extensions(self, ClientHello hello) noexcept nogil
    cdef void sort(self) noexcept nogil
    cdef void put_number(self, Py_ssize_t at, long long number) noexcept nogil
    cdef void put_alpn(self, Py_ssize_t at, ClientHello hello) noexcept nogil
    cdef void put_hash(self, Py_ssize_t at) noexcept nogil
    cdef bint is_known(self, Py_ssize_t entry, long long head) noexcept nogil
    cdef void hash_numbers(self, unsigned char[::1] out, Py_ssize_t at) noexcept nogil
    cdef void take(self, unsigned int byte) noexcept nogil
    cdef void close(self) noexcept nogil

cdef int digit(long long value) noexcept nogil
cdef bint is_alphanumeric(int byte) noexcept nogil
