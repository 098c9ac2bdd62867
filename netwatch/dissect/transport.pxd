from netwatch.dissect.flows cimport Flows
from netwatch.dissect.links cimport Links

cdef class Transport(Links):
    cdef public Flows flows
    cdef long long[::1] out
    cdef long long count
    cdef long long seed
    cdef long long now
    cdef long long record
    cdef long long first_number
    cdef int side
    cdef bint opening
    cdef public int learning
    cdef public long long candidates

    cdef long long key(self) noexcept nogil
    cdef void emit(self, long long kind, Py_ssize_t at, long long seq, long long flow) noexcept nogil
    cdef int beside(self, long long kind) noexcept nogil
    cdef long long leased(self, long long src, long long dst) noexcept nogil
    cdef long long mac(self, Py_ssize_t at) noexcept nogil
    cdef void describe(self, Py_ssize_t slot) noexcept nogil
    cdef void tcp(self) noexcept nogil
    cdef bint udp(self) noexcept nogil
