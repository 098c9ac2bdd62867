from netwatch.dissect.loop.cursor cimport Cursor

cdef int l2tp(Cursor cursor) noexcept nogil
cdef int l2tpv3(Cursor cursor) noexcept nogil
cdef int payload(Cursor cursor) noexcept nogil
cdef bint is_ip(Cursor cursor, Py_ssize_t at, Py_ssize_t room) noexcept nogil
cdef bint is_arp(Cursor cursor, Py_ssize_t at) noexcept nogil
