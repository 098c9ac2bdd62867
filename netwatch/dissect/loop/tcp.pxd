cimport cython
from netwatch.dissect.flows.table cimport FlowTable
from netwatch.dissect.flows.tcp_state cimport TcpState
from netwatch.dissect.loop.answers cimport Answers
from netwatch.dissect.loop.candidates cimport Candidates
from netwatch.dissect.loop.cursor cimport Cursor
from netwatch.dissect.loop.http_requests cimport HttpRequests
from netwatch.dissect.loop.flow_lookup cimport FlowLookup
from netwatch.dissect.loop.hello_reassembly cimport HelloReassembly
from netwatch.dissect.loop.prefilter cimport Prefilter
from netwatch.dissect.loop.hellos cimport TlsHellos

@cython.final
cdef class TcpSegments:
    cdef Cursor cursor
    cdef Prefilter prefilter
    cdef FlowTable flows
    cdef FlowLookup lookup
    cdef Candidates candidates
    cdef HelloReassembly hellos
    cdef TcpState state
    cdef TlsHellos tls_hellos
    cdef HttpRequests requests
    cdef Answers answers
    cdef long long sequence
    cdef bint dns_port
    cdef bint stray

    cdef void segment(self) noexcept nogil
    cdef void data(self, Py_ssize_t slot, int flags, Py_ssize_t at, long long size) noexcept nogil
    cdef void reset(self) noexcept nogil
    cdef void opening(self, Py_ssize_t slot, int flags) noexcept nogil
    cdef void payload(self, Py_ssize_t slot, Py_ssize_t at) noexcept nogil
    cdef int compared(self, Py_ssize_t slot, Py_ssize_t at) noexcept nogil
    cdef void contradicts(self, Py_ssize_t slot, long long kind, Py_ssize_t at) noexcept nogil
    cdef long long sequence_of_message(self, Py_ssize_t slot) noexcept nogil
    cdef void stray_message(self, Py_ssize_t slot, Py_ssize_t at) noexcept nogil
    cdef bint is_known(self, Py_ssize_t slot, long long kind) noexcept nogil
    cdef bint reads_request(self, Py_ssize_t slot, Py_ssize_t at, bint first) noexcept nogil
    cdef bint shows_another_name(self, Py_ssize_t slot, Py_ssize_t at) noexcept nogil
    cdef int told_by_hello(self, Py_ssize_t slot, Py_ssize_t at) noexcept nogil
    cdef long long kind_of(self, Py_ssize_t slot, Py_ssize_t at, bint possible) noexcept nogil
    cdef long long beginning(self, Py_ssize_t slot, Py_ssize_t at) noexcept nogil
    cdef long long expected(self, long long kind, Py_ssize_t at) noexcept nogil
    cdef bint is_reported(self, Py_ssize_t slot, long long kind, Py_ssize_t at) noexcept nogil
    cdef void emit(self, Py_ssize_t slot, long long kind, Py_ssize_t at, bint whole) noexcept nogil
