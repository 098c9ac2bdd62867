cimport cython
from netwatch.dissect.loop.observation_rows cimport NameTexts
from netwatch.dissect.loop.octets cimport Window

@cython.final
cdef class DnsRecords(Window):
    cdef NameTexts names
    cdef long long[::1] alias_owners
    cdef long long[::1] alias_targets
    cdef long long[::1] alias_raws
    cdef readonly Py_ssize_t aliases
    cdef long long[::1] service_owners
    cdef long long[::1] service_hosts
    cdef readonly Py_ssize_t services
    cdef long long[::1] address_owners
    cdef long long[::1] address_texts
    cdef long long[::1] address_ttls
    cdef readonly Py_ssize_t addresses
    cdef long long pointer
    cdef long long pointed
    cdef long long holder
    cdef Py_ssize_t at
    cdef readonly long long first_owner
    cdef readonly long long first_kind
    cdef bint alone
    cdef bint odd
    cdef bytes whole
    cdef readonly list anomalies
    cdef readonly dict ech

    cdef void clear(self) noexcept nogil
    cdef long long name(self, Py_ssize_t start, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef long long raw_name(self, Py_ssize_t start, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint read(self, Py_ssize_t start, Py_ssize_t pos, Py_ssize_t end, long long question) noexcept nogil
    cdef Py_ssize_t next_record(self, Py_ssize_t start, Py_ssize_t pos, Py_ssize_t end, long long question) noexcept nogil
    cdef bint failed(self, int which) noexcept nogil
    cdef long long owner(self, Py_ssize_t start, Py_ssize_t pos, Py_ssize_t end, long long question) noexcept nogil
    cdef bint record(self, Py_ssize_t start, long long kind, long long owner, Py_ssize_t pos, Py_ssize_t stop, Py_ssize_t end) noexcept nogil
    cdef void alias(self, long long owner, long long target, long long raw) noexcept nogil
    cdef bint service(self, Py_ssize_t start, long long owner, Py_ssize_t pos, Py_ssize_t stop, long long ttl, Py_ssize_t end) noexcept nogil
    cdef bint parameters(self, long long owner, long long target, Py_ssize_t pos, Py_ssize_t end, long long ttl) noexcept nogil
    cdef bint address(self, long long owner, Py_ssize_t at, Py_ssize_t size, long long ttl) noexcept nogil
