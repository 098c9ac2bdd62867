from netwatch.dissect.tunnels cimport Tunnels

cdef class Links(Tunnels):
    cdef int radiotap(self) noexcept nogil
    cdef int wlan(self) noexcept nogil
    cdef int subframe(self) noexcept nogil
    cdef int nflog(self) noexcept nogil
