from netwatch.dissect.loop.udp_tunnels cimport Overlays

cdef class Links(Overlays):
    cdef int radiotap(self) noexcept nogil
    cdef int wlan(self) noexcept nogil
    cdef int subframe(self) noexcept nogil
    cdef int nflog(self) noexcept nogil
