cimport cython
from netwatch.core.observation_batch cimport ObservationBatch
from netwatch.dissect.loop.hello_layout cimport HelloLayout
from netwatch.dissect.quic.sha256 cimport Sha256

@cython.final
cdef class HelloFingerprints:
    cdef ObservationBatch batch
    cdef Sha256 sha
    cdef Py_ssize_t hashed
    cdef long long[::1] numbers
    cdef Py_ssize_t count
    cdef Py_ssize_t split
    cdef long long[::1] known
    cdef unsigned char[::1] digests

    cdef long long text(self, HelloLayout hello, int transport, int version) noexcept nogil
    cdef void read_numbers(self, HelloLayout hello, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef long long read_extensions(self, HelloLayout hello) noexcept nogil
    cdef void sort(self) noexcept nogil
    cdef void put_number(self, Py_ssize_t at, long long number) noexcept nogil
    cdef void put_alpn(self, Py_ssize_t at, HelloLayout hello) noexcept nogil
    cdef void put_hash(self, Py_ssize_t at) noexcept nogil
    cdef bint is_known(self, Py_ssize_t entry, long long head) noexcept nogil
    cdef void hash_numbers(self, unsigned char[::1] out, Py_ssize_t at) noexcept nogil
    cdef void take(self, unsigned int byte) noexcept nogil
    cdef void close(self) noexcept nogil

cdef int digit(long long value) noexcept nogil
cdef bint is_alphanumeric(int byte) noexcept nogil
