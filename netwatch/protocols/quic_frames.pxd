cdef class CryptoStream:
    cdef readonly bytearray contiguous
    cdef str _limit_anomaly
    cdef str _overlap_anomaly
    cdef dict _out_of_order
    cdef Py_ssize_t _out_of_order_bytes

    cdef bint append(self, Py_ssize_t offset, bytes data) except -1
