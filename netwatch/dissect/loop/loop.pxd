cimport cython
from netwatch.core.observation_batch cimport ObservationBatch
from netwatch.dissect.flows.table cimport FlowTable
from netwatch.dissect.loop.candidates cimport Candidates
from netwatch.dissect.loop.cursor cimport Cursor
from netwatch.dissect.loop.dns_addresses cimport DnsAddresses
from netwatch.dissect.loop.dns_messages cimport DnsMessages
from netwatch.dissect.loop.http_requests cimport HttpRequests
from netwatch.dissect.loop.flow_lookup cimport FlowLookup
from netwatch.dissect.loop.hello_reassembly cimport HelloReassembly
from netwatch.dissect.loop.flow_lookup cimport IcmpErrors
from netwatch.dissect.loop.candidates cimport Learning
from netwatch.dissect.loop.observation_rows cimport ObservationRows
from netwatch.dissect.loop.prefilter cimport Prefilter
from netwatch.dissect.loop.hellos cimport QuicHellos
from netwatch.dissect.loop.share cimport Share
from netwatch.dissect.loop.tcp cimport TcpSegments
from netwatch.dissect.loop.udp cimport UdpDatagrams

@cython.final
cdef class Loop:
    cdef readonly Cursor cursor
    cdef readonly ObservationBatch batch
    cdef readonly ObservationRows rows
    cdef readonly Prefilter prefilter
    cdef readonly FlowTable flows
    cdef readonly Candidates candidates
    cdef readonly DnsAddresses addresses
    cdef readonly Learning learning
    cdef readonly IcmpErrors icmp_errors
    cdef readonly HelloReassembly hellos
    cdef readonly QuicHellos quic_hellos
    cdef readonly DnsMessages messages
    cdef readonly HttpRequests requests
    cdef readonly TcpSegments tcp
    cdef readonly UdpDatagrams udp
    cdef readonly FlowLookup lookup
    cdef readonly Share share
    cdef object interface_lists
    cdef public long long packets
    cdef public long long octets

    cdef Py_ssize_t _walk(self, const unsigned char[::1] data, const long long[::1] records, const int[::1] layers, const unsigned char[::1] owners, long long start, long long stop) except -1
    cdef void packet(self, int layer) noexcept nogil
    cdef void layers(self, int layer) noexcept nogil
    cdef void transport(self) noexcept nogil
    cdef void fragment(self) noexcept nogil
