cdef class CryptoStream:
    cdef public bytearray contiguous
    cdef readonly bint is_newest
    cdef readonly bint keeps_others
    cdef readonly list others
    cdef str _limit_anomaly
    cdef str _overlap_anomaly
    cdef dict _out_of_order
    cdef Py_ssize_t _out_of_order_bytes

    cdef bint append(self, Py_ssize_t offset, bytes data) except -1
    cdef keep_other(self, Py_ssize_t offset, bytes data)
