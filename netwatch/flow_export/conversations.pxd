cimport cython

from netwatch.flow_export.pair_table cimport PairTable
from netwatch.flow_export.records cimport FlowRecord

@cython.final
@cython.freelist(8192)
cdef class Conversation:
    cdef readonly long long number
    cdef readonly long long first
    cdef readonly long long last
    cdef readonly bint is_tcp
    cdef readonly bytes client_ip
    cdef readonly int client_port
    cdef readonly bytes server_ip
    cdef readonly int server_port
    cdef readonly long long bytes_out
    cdef readonly long long bytes_in
    cdef readonly bint goes_on
    cdef readonly int vlan
    cdef readonly bytes client_mac
    cdef readonly long long sampling
    cdef public object shown_in

@cython.final
cdef class Conversations:
    cdef PairTable waiting
    cdef PairTable known
    cdef object taken
    cdef long long last_number
    cdef long long now
    cdef readonly long long evicted
    cdef readonly long long impossible

    cdef void take(self, FlowRecord record, object found)
    cdef void pair(self, FlowRecord record, long long came, object found)
    cdef void expire(self, object found)
    cdef bint oldest_goes(self, object found)
    cdef Conversation made(
        self, FlowRecord record, FlowRecord other, unsigned long long hash_
    )
    cdef void number_of(
        self, Conversation made, long long protocol, unsigned long long hash_
    )

cpdef long long payload(int protocol, bytes address, long long octets, long long packets)
cdef bint is_from_client(FlowRecord record, FlowRecord other)
