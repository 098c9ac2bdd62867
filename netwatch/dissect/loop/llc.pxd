from netwatch.dissect.loop.cursor cimport Cursor

cdef int llc(Cursor cursor) noexcept nogil
cdef int snap(Cursor cursor) noexcept nogil
cdef int nlpid(Cursor cursor) noexcept nogil
cdef bint is_isl(Cursor cursor) noexcept nogil
cdef int isl(Cursor cursor) noexcept nogil
