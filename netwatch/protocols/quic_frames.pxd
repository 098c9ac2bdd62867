cdef class CryptoStream:
    cdef readonly bytearray head
    cdef str _limit
    cdef str _overlap
    cdef dict _waiting
    cdef Py_ssize_t _held

    cdef bint append(self, Py_ssize_t offset, bytes data) except -1
