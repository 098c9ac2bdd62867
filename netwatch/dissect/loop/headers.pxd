from netwatch.dissect.loop.cursor cimport Cursor

cdef bint read_layers(Cursor cursor, int layer) noexcept nogil
cdef int read_layer(Cursor cursor, int layer) noexcept nogil
cdef int read_rare_link(Cursor cursor, int layer) noexcept nogil
cdef int ethernet(Cursor cursor) noexcept nogil
cdef int ether_type(Cursor cursor) noexcept nogil
cdef int ip(Cursor cursor) noexcept nogil
cdef int ipv4(Cursor cursor) noexcept nogil
cdef int ipv6(Cursor cursor) noexcept nogil
cdef int ipv6_extensions(Cursor cursor) noexcept nogil
cdef int ip_payload(Cursor cursor) noexcept nogil
cdef int ah(Cursor cursor) noexcept nogil
