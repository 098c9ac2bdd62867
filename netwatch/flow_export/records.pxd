cimport cython

@cython.final
@cython.freelist(1024)
cdef class FlowRecord:
    cdef readonly long long first
    cdef readonly long long last
    cdef readonly bytes source
    cdef readonly bytes destination
    cdef readonly int source_port
    cdef readonly int destination_port
    cdef readonly int protocol
    cdef readonly long long octets
    cdef readonly long long packets
    cdef readonly int tcp_flags
    cdef readonly long long reverse_octets
    cdef readonly long long reverse_packets
    cdef readonly int reverse_tcp_flags
    cdef readonly bint is_biflow
    cdef readonly int vlan
    cdef readonly bytes source_mac
    cdef readonly long long sampling

    cdef bint is_possible(self)
    cdef bint mend(self)
