cimport cython
from netwatch.dissect.loop.domain_filter cimport DomainFilter
from netwatch.dissect.loop.octets cimport Window

@cython.final
cdef class HelloPrefilter(Window):
    cdef DomainFilter domains
    cdef long long[::1] counts
    cdef long long[::1] types
    cdef Py_ssize_t extensions

    cdef bint record_uninteresting(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint hello_uninteresting(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint name_uninteresting(self, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef bint distinct(self, Py_ssize_t pos, Py_ssize_t stop) noexcept nogil
    cdef bint valid(self, long long kind, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef bint name_is_real(self, long long first, Py_ssize_t at, Py_ssize_t size) noexcept nogil
