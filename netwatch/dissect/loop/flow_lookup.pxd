cimport cython
from netwatch.dissect.flows.table cimport FlowTable
from netwatch.dissect.flows.tcp_state cimport TcpState
from netwatch.dissect.loop.candidates cimport Candidates
from netwatch.dissect.loop.cursor cimport Cursor


@cython.final
cdef class FlowLookup:
    cdef Cursor cursor
    cdef FlowTable flows
    cdef Candidates candidates
    cdef unsigned long long seed
    cdef bint openings
    cdef long long first_packet
    cdef const long long[::1] records
    cdef long long[::1] opened

    cdef long long key(self) noexcept nogil
    cdef long long key_of(self, Py_ssize_t at, Py_ssize_t size, Py_ssize_t ports, long long protocol) noexcept nogil
    cdef void look_ahead(self, long long number, long long stop) noexcept nogil
    cdef long long opened_key(self, Py_ssize_t at) noexcept nogil
    cdef long long mac(self, Py_ssize_t at) noexcept nogil
    cdef void describe(self, Py_ssize_t slot) noexcept nogil


@cython.final
cdef class IcmpErrors:
    cdef Cursor cursor
    cdef FlowTable flows
    cdef FlowLookup lookup
    cdef TcpState state

    cdef void packet(self) noexcept nogil
    cdef bint is_refusal(self) noexcept nogil
    cdef bint quoted(self) noexcept nogil
