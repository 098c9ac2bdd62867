from netwatch.dissect.loop.hellos cimport Hellos

cdef class Transport(Hellos):
    cdef long long seed
    cdef public int learning

    cdef long long key(self) noexcept nogil
    cdef int beside(self, long long kind) noexcept nogil
    cdef long long leased(self, long long src, long long dst) noexcept nogil
    cdef long long begins(self, Py_ssize_t slot, Py_ssize_t payload, long long seq) noexcept nogil
    cdef bint whole_idle(self, long long kind, Py_ssize_t payload) noexcept nogil
    cdef long long mac(self, Py_ssize_t at) noexcept nogil
    cdef void describe(self, Py_ssize_t slot) noexcept nogil
    cdef void tcp(self) noexcept nogil
    cdef bint udp(self) noexcept nogil
