cimport cython
from netwatch.dissect.loop.domain_filter cimport DomainFilter
from netwatch.dissect.loop.octets cimport Window

@cython.final
cdef class DnsPrefilter(Window):
    cdef DomainFilter domains
    cdef long long[::1] counts
    cdef long long[::1] starts
    cdef long long[::1] sizes
    cdef long long[::1] ttls
    cdef unsigned long long asked
    cdef Py_ssize_t addresses
    cdef long long aliases
    cdef long long pointer

    cdef bint uninteresting(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint answers_uninteresting(self, Py_ssize_t at, Py_ssize_t pos, Py_ssize_t end) noexcept nogil
    cdef bint record_uninteresting(self, Py_ssize_t at, long long kind, Py_ssize_t pos, Py_ssize_t end) noexcept nogil
    cdef bint add_address(self, Py_ssize_t at, Py_ssize_t size, Py_ssize_t ttl) noexcept nogil
    cdef bint parameters(self, Py_ssize_t pos, Py_ssize_t end, Py_ssize_t ttl) noexcept nogil
