from netwatch.dissect.headers cimport Headers

cdef class Tunnels(Headers):
    cdef int mpls(self) noexcept nogil
    cdef int ppp(self) noexcept nogil
    cdef int nsh(self) noexcept nogil
    cdef int gre(self) noexcept nogil
    cdef bint wrapped(self, Py_ssize_t payload) noexcept nogil
    cdef int vxlan(self) noexcept nogil
    cdef int geneve(self) noexcept nogil
    cdef int gtp(self) noexcept nogil
    cdef int teredo(self) noexcept nogil
    cdef int l2tp(self) noexcept nogil
