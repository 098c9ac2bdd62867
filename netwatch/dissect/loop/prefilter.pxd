from netwatch.dissect.loop.domain_filter cimport Zones

cdef class Glimpse(Zones):
    cdef long long[::1] passed
    cdef unsigned long long salt
    cdef long long[::1] spots
    cdef long long[::1] sizes
    cdef long long[::1] ttls
    cdef Py_ssize_t count_spots
    cdef long long[::1] types
    cdef Py_ssize_t count_types

    cdef bint spot(self, Py_ssize_t at, Py_ssize_t size, Py_ssize_t ttl) noexcept nogil
    cdef bint dns_idle(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint parameters(self, Py_ssize_t pos, Py_ssize_t end, Py_ssize_t ttl) noexcept nogil
    cdef bint keys(self, Py_ssize_t pos, Py_ssize_t end) noexcept nogil
    cdef bint hello_idle(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint distinct(self, Py_ssize_t pos, Py_ssize_t stop) noexcept nogil
    cdef bint sound(self, long long kind, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef bint meant(self, long long first, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef bint tls_idle(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
