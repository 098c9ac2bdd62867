from netwatch.dissect.prefaces cimport Prefaces

cdef class Glimpse(Prefaces):
    cdef long long[::1] zones
    cdef unsigned long long last
    cdef long long[::1] passed
    cdef unsigned long long salt
    cdef bint filtering
    cdef long long[::1] spots
    cdef long long[::1] sizes
    cdef long long[::1] ttls
    cdef Py_ssize_t count_spots
    cdef unsigned long long sum
    cdef Py_ssize_t stopped
    cdef unsigned char[::1] spelling
    cdef long long[::1] powers
    cdef long long[::1] marks
    cdef long long[::1] places
    cdef Py_ssize_t count_labels
    cdef Py_ssize_t length
    cdef long long[::1] types
    cdef Py_ssize_t count_types

    cdef void feed(self, int byte) noexcept nogil
    cdef bint spot(self, Py_ssize_t at, Py_ssize_t size, Py_ssize_t ttl) noexcept nogil
    cdef bint is_idle(self) noexcept nogil
    cdef bint spell(self, Py_ssize_t at, Py_ssize_t end, bint dots) noexcept nogil
    cdef void anew(self) noexcept nogil
    cdef bint labels(self, Py_ssize_t start, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint dns_idle(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint parameters(self, Py_ssize_t pos, Py_ssize_t end, Py_ssize_t ttl) noexcept nogil
    cdef bint keys(self, Py_ssize_t pos, Py_ssize_t end) noexcept nogil
    cdef bint hello_idle(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint distinct(self, Py_ssize_t pos, Py_ssize_t stop) noexcept nogil
    cdef bint sound(self, long long kind, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef bint meant(self, long long first, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef bint tls_idle(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
