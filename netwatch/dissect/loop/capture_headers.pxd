from netwatch.dissect.loop.cursor cimport Cursor

cdef int read_capture_header(Cursor cursor, int layer) noexcept nogil
cdef long long little(Cursor cursor, Py_ssize_t at) noexcept nogil
cdef int of_link_type(Cursor cursor, long long number) noexcept nogil
cdef int fixed(Cursor cursor, Py_ssize_t size, int layer) noexcept nogil
cdef int pktap(Cursor cursor) noexcept nogil
cdef int ppi(Cursor cursor) noexcept nogil
cdef int pflog(Cursor cursor) noexcept nogil
cdef int prism(Cursor cursor) noexcept nogil
cdef int avs(Cursor cursor) noexcept nogil
cdef int erf(Cursor cursor) noexcept nogil
cdef int tzsp_link(Cursor cursor) noexcept nogil
cdef long long tzsp_faults(Cursor cursor) noexcept nogil
cdef int netanalyzer(Cursor cursor) noexcept nogil
cdef int redback(Cursor cursor) noexcept nogil
cdef int symantec(Cursor cursor) noexcept nogil
