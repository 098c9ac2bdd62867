from netwatch.core.message cimport Packet

cdef class Candidate:
    cdef tuple _row
    cdef long long _first
    cdef str _source
    cdef long _digits
    cdef bytes _addresses
    cdef bytes _src_mac
    cdef bytes _dst_mac
    cdef readonly long long time
    cdef readonly object flow
    cdef readonly object side
