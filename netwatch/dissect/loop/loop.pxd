from netwatch.dissect.loop.transport cimport Transport

cdef class Kernel(Transport):
    cdef public object rows
    cdef object lists
    cdef public long long packets
    cdef public long long octets

    cdef void transport(self) noexcept nogil
    cdef void piece(self) noexcept nogil
