cimport cython

from netwatch.flow_export.records cimport FlowRecord

@cython.final
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
cdef class Entry:
    cdef tuple key
    cdef FlowRecord record
    cdef long long number
    cdef long long ended
    cdef bint is_gone

@cython.final
cdef class Table:
    cdef dict entries
    cdef list line
    cdef Py_ssize_t begin

    cdef Entry get(self, object key)
    cdef void put(self, Entry entry)
    cdef void pass_by(self)
    cdef void drop(self, Entry entry)
    cdef Entry oldest(self)

@cython.final
cdef class Conversations:
    cdef Table waiting
    cdef Table known
    cdef object taken
    cdef long long last_number
    cdef long long now
    cdef readonly long long evicted
    cdef readonly long long impossible

    cdef void take(self, FlowRecord record, object found)
    cdef void pair(self, FlowRecord record, long long came, object found)
    cdef void expire(self, object found)
    cdef bint oldest_goes(self, object found)
    cdef Conversation made(self, FlowRecord record, FlowRecord other)
    cdef void number_of(self, Conversation made, long long protocol)

cpdef long long payload(int protocol, bytes address, long long octets, long long packets)
cdef bint is_from_client(FlowRecord record, FlowRecord other)
