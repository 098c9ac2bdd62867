from netwatch.dissect.loop.cursor cimport Cursor


cdef int gue(Cursor cursor) noexcept nogil
cdef int tunnelled(Cursor cursor) noexcept nogil
cdef int ayiya(Cursor cursor) noexcept nogil
cdef int amt(Cursor cursor) noexcept nogil
cdef int jmirror(Cursor cursor) noexcept nogil


cdef int find_tunnel(Cursor cursor, Py_ssize_t payload) noexcept nogil
cdef int read_tunnel(Cursor cursor, int tunnel) noexcept nogil
cdef int vxlan(Cursor cursor) noexcept nogil
cdef int geneve(Cursor cursor) noexcept nogil
cdef int gtp(Cursor cursor) noexcept nogil
cdef int teredo(Cursor cursor) noexcept nogil
cdef bint is_teredo(Cursor cursor, Py_ssize_t payload) noexcept nogil
cdef int gre_in_udp(Cursor cursor) noexcept nogil
cdef int lisp(Cursor cursor) noexcept nogil
cdef int next_protocol(Cursor cursor, int kind) noexcept nogil
cdef int mpls_in_udp(Cursor cursor) noexcept nogil
