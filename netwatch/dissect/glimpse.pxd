from netwatch.dissect.prefaces cimport Prefaces

cdef class Glimpse(Prefaces):
    cdef long long[::1] known
    cdef long long[::1] passed
    cdef unsigned long long salt
    cdef bint filtering
    cdef bint watching
    cdef long long[::1] watched
    cdef unsigned long long sum
    cdef Py_ssize_t stopped

    cdef void feed(self, int byte) noexcept nogil
    cdef bint is_watched(self, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef bint is_known(self) noexcept nogil
    cdef bint text(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint labels(self, Py_ssize_t start, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t behind(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint dns_known(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint hello_known(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint tls_known(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
