from netwatch.dissect.loop.tunnels cimport Tunnels

cdef class Overlays(Tunnels):
    cdef bint wrapped(self, Py_ssize_t payload) noexcept nogil
    cdef int short(self) noexcept nogil
    cdef int vxlan(self) noexcept nogil
    cdef int geneve(self) noexcept nogil
    cdef int gtp(self) noexcept nogil
    cdef int teredo(self) noexcept nogil
    cdef bint is_teredo(self) noexcept nogil
    cdef int l2tp(self) noexcept nogil
