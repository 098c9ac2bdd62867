cdef class Packet:
    cdef readonly str source
    cdef readonly long long number
    cdef readonly long long time
    cdef readonly long time_digits
    cdef readonly str transport
    cdef readonly bytes src
    cdef readonly long sport
    cdef readonly bytes dst
    cdef readonly long dport
    cdef readonly bytes src_mac
    cdef readonly bytes dst_mac
    cdef readonly object vlan
    cdef readonly long long flow_id
    cdef readonly tuple frames
    cdef readonly long long mark
