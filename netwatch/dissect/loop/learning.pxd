cimport cython
from netwatch.dissect.loop.candidates cimport Candidates
from netwatch.dissect.loop.cursor cimport Cursor

@cython.final
cdef class Learning:
    cdef Cursor cursor
    cdef Candidates candidates
    cdef public int sources

    cdef void non_ip(self) noexcept nogil
    cdef bint has_fragment_header(self) noexcept nogil
    cdef long long dhcp(self, long long source, long long destination) noexcept nogil
