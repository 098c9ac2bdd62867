from netwatch.dissect.loop.cursor cimport Cursor


cdef int read_lan(Cursor cursor, int layer) noexcept nogil
cdef int token_ring(Cursor cursor) noexcept nogil
cdef int arcnet(Cursor cursor, Py_ssize_t size) noexcept nogil
cdef int by_type(Cursor cursor, Py_ssize_t at, Py_ssize_t size) noexcept nogil
cdef int ip_over_fc(Cursor cursor) noexcept nogil


cdef int llc(Cursor cursor) noexcept nogil
cdef int snap(Cursor cursor) noexcept nogil
cdef int nlpid(Cursor cursor) noexcept nogil
cdef bint is_isl(Cursor cursor) noexcept nogil
cdef int isl(Cursor cursor) noexcept nogil
