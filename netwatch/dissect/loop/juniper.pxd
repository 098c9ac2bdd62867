from netwatch.dissect.loop.cursor cimport Cursor

cdef int read_juniper(Cursor cursor, int layer) noexcept nogil
cdef int card(Cursor cursor, int layer, int flags) noexcept nogil
cdef int by_protocol(Cursor cursor, Py_ssize_t size) noexcept nogil
cdef int ipv4_behind(Cursor cursor, Py_ssize_t size) noexcept nogil
cdef int secure_tunnel(Cursor cursor) noexcept nogil
cdef int atm(Cursor cursor, bint second, int flags) noexcept nogil
cdef bint is_ppp(long long kind) noexcept nogil
cdef int multilink(Cursor cursor, bint with_ppp, int flags) noexcept nogil
cdef int member_link(Cursor cursor, bint with_ppp) noexcept nogil
cdef int after_control(Cursor cursor) noexcept nogil
cdef int virtual_network(Cursor cursor) noexcept nogil
