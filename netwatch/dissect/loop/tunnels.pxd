from netwatch.dissect.loop.headers cimport Headers

cdef class Tunnels(Headers):
    cdef int unread(self, long long kind) noexcept nogil
    cdef int mpls(self) noexcept nogil
    cdef bint framed(self, Py_ssize_t at) noexcept nogil
    cdef int ppp(self) noexcept nogil
    cdef int nsh(self) noexcept nogil
    cdef int gre(self) noexcept nogil
