cimport cython
from netwatch.dissect.loop.domain_filter cimport DomainFilter
from netwatch.dissect.loop.hello_layout cimport HelloLayout
from netwatch.dissect.loop.octets cimport Window

@cython.final
cdef class HelloPrefilter(Window):
    cdef DomainFilter domains
    cdef long long[::1] counts
    cdef HelloLayout hello

    cdef bint read_record(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint name_uninteresting(self) noexcept nogil
