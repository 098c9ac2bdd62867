cimport cython
from netwatch.dissect.flows.table cimport FlowTable
from netwatch.dissect.flows.tcp_state cimport TcpState
from netwatch.dissect.loop.answers cimport Answers
from netwatch.dissect.loop.candidates cimport Candidates
from netwatch.dissect.loop.cursor cimport Cursor
from netwatch.dissect.loop.dns_addresses cimport DnsAddresses
from netwatch.dissect.loop.dns_messages cimport DnsMessages
from netwatch.dissect.loop.flow_lookup cimport FlowLookup
from netwatch.dissect.loop.candidates cimport Learning
from netwatch.dissect.loop.observation_rows cimport ObservationRows
from netwatch.dissect.loop.prefilter cimport Prefilter
from netwatch.dissect.loop.hellos cimport QuicHellos
from netwatch.dissect.loop.share cimport Share

@cython.final
cdef class UdpDatagrams:
    cdef Cursor cursor
    cdef Prefilter prefilter
    cdef ObservationRows rows
    cdef DnsMessages messages
    cdef FlowTable flows
    cdef FlowLookup lookup
    cdef Candidates candidates
    cdef TcpState state
    cdef DnsAddresses addresses
    cdef Learning learning
    cdef QuicHellos quic_hellos
    cdef Share share
    cdef Answers answers

    cdef bint datagram(self) noexcept nogil
    cdef bint header(self) noexcept nogil
    cdef bint tunnel(self, Py_ssize_t at) noexcept nogil
    cdef void lookup_message(self, Py_ssize_t at, long long source) noexcept nogil
    cdef void payload(self, Py_ssize_t at, long long source, long long destination) noexcept nogil
    cdef void note_checksum(self, Py_ssize_t slot) noexcept nogil
    cdef long long kind_of(self, Py_ssize_t at) noexcept nogil
