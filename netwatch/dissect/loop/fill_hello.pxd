cimport cython
from netwatch.core.observation_batch cimport ObservationBatch
from netwatch.dissect.loop.client_hello cimport ClientHello
from netwatch.dissect.loop.hello_fingerprints cimport HelloFingerprints
from netwatch.dissect.loop.observation_rows cimport ObservationRows

@cython.final
cdef class HelloRows:
    cdef ObservationRows rows
    cdef ObservationBatch batch
    cdef readonly bint active
    cdef HelloFingerprints fingerprints
    cdef unsigned char[::1] texts
    cdef long long[::1] places
    cdef Py_ssize_t first_class
    cdef Py_ssize_t first_version
    cdef Py_ssize_t first_id
    cdef long long[::1] versions
    cdef unsigned char[::1] public_names
    cdef unsigned char[::1] lower

    cdef int add(self, ClientHello hello, Py_ssize_t quic, long long flow) noexcept nogil
    cdef long long text(self, Py_ssize_t number) noexcept nogil
    cdef Py_ssize_t version(self, ClientHello hello) noexcept nogil
    cdef long long name(self, ClientHello hello) noexcept nogil
    cdef long long raw_name(self, ClientHello hello, long long name) noexcept nogil
    cdef bint are_plain(self, ClientHello hello) noexcept nogil
    cdef long long alpn(self, ClientHello hello) noexcept nogil
    cdef bint is_public(self, long long name) noexcept nogil
