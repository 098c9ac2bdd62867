from netwatch.dissect.loop.cursor cimport Cursor


cdef int etherip(Cursor cursor) noexcept nogil
cdef int mpls(Cursor cursor) noexcept nogil
cdef int bier(Cursor cursor) noexcept nogil
cdef bint looks_like_frame(Cursor cursor, Py_ssize_t at) noexcept nogil
cdef int nsh(Cursor cursor) noexcept nogil
cdef int gre(Cursor cursor) noexcept nogil
cdef bint source_routes(Cursor cursor) noexcept nogil
cdef int gre_payload(Cursor cursor, long long kind, bint sequenced) noexcept nogil
cdef int further_aruba(Cursor cursor, long long kind) noexcept nogil
cdef int wccp(Cursor cursor) noexcept nogil
cdef int erspan_3(Cursor cursor) noexcept nogil


cdef int l2tp(Cursor cursor) noexcept nogil
cdef int l2tpv3(Cursor cursor) noexcept nogil
cdef int payload(Cursor cursor) noexcept nogil
cdef bint is_ip(Cursor cursor, Py_ssize_t at, Py_ssize_t room) noexcept nogil
cdef bint is_arp(Cursor cursor, Py_ssize_t at) noexcept nogil
