from netwatch.dissect.loop.cursor cimport Cursor

cdef int pppoe(Cursor cursor) noexcept nogil
cdef int ppp(Cursor cursor) noexcept nogil
cdef int bridged(Cursor cursor) noexcept nogil
cdef int multilink(Cursor cursor) noexcept nogil
cdef bint is_ip(Cursor cursor, Py_ssize_t at) noexcept nogil
