cimport cython
from netwatch.dissect.loop cimport layout
from netwatch.dissect.loop.candidates cimport Candidates
from netwatch.dissect.loop.cursor cimport Cursor
from netwatch.dissect.loop.division cimport Division

@cython.final
cdef class Share:
    cdef Cursor cursor
    cdef Candidates candidates
    cdef long long[::1] counts
    cdef long long[::1] counts_before
    cdef readonly bint active
    cdef readonly Division division
    cdef readonly int worker
    cdef int given
    cdef bint is_decided
    cdef long long failures_before

    cdef inline bint is_owner(self, int lower, int greater) noexcept nogil:
        return lower == self.worker or greater == self.worker

    cdef inline bint takes_record(self, int lower, int greater) noexcept nogil:
        if lower == layout.EVERYONE:
            self.given = -1
            return True
        self.given = lower | greater << 8
        return lower == self.worker or greater == self.worker

    cdef void begin(self) noexcept nogil
    cdef bint takes_segment(self) noexcept nogil
    cdef bint takes_datagram(self) noexcept nogil
    cdef bint takes_lookup(self) noexcept nogil
    cdef bint decide(self, int owners) noexcept nogil
    cdef void end(self) noexcept nogil
