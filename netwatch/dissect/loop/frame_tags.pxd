from netwatch.dissect.loop.cursor cimport Cursor

cdef int read_tag(Cursor cursor, int layer) noexcept nogil
cdef int tag(Cursor cursor, Py_ssize_t size) noexcept nogil
cdef int before_ethernet(Cursor cursor, Py_ssize_t size) noexcept nogil
cdef int cisco_metadata(Cursor cursor) noexcept nogil
cdef bint is_known(Cursor cursor, long long ether_type) noexcept nogil
cdef int trill(Cursor cursor) noexcept nogil
cdef int macsec(Cursor cursor) noexcept nogil
cdef int batman(Cursor cursor) noexcept nogil
cdef int gigamon(Cursor cursor) noexcept nogil
cdef int arista(Cursor cursor) noexcept nogil
cdef int lab_manager(Cursor cursor) noexcept nogil
cdef int unknown_ether_type(Cursor cursor) noexcept nogil
