cimport cython
from netwatch.dissect.flows.table cimport FlowTable
from netwatch.dissect.flows.tcp_state cimport TcpState
from netwatch.dissect.loop.cursor cimport Cursor
from netwatch.dissect.loop.flow_lookup cimport FlowLookup

@cython.final
cdef class IcmpErrors:
    cdef Cursor cursor
    cdef FlowTable flows
    cdef FlowLookup lookup
    cdef TcpState state

    cdef void packet(self) noexcept nogil
    cdef bint is_refusal(self) noexcept nogil
    cdef bint quoted(self) noexcept nogil
