from netwatch.dissect.loop.cursor cimport Cursor

cdef int gue(Cursor cursor) noexcept nogil
cdef int tunnelled(Cursor cursor) noexcept nogil
cdef int ayiya(Cursor cursor) noexcept nogil
cdef int amt(Cursor cursor) noexcept nogil
cdef int jmirror(Cursor cursor) noexcept nogil
