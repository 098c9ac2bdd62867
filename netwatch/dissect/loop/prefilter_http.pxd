cimport cython
from netwatch.dissect.loop.domain_filter cimport DomainFilter
from netwatch.dissect.loop.octets cimport Window

@cython.final
cdef class RequestPrefilter(Window):
    cdef DomainFilter domains
    cdef long long[::1] counts

    cdef bint uninteresting(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t request_line(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t field_name(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t line_end(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint host_uninteresting(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
