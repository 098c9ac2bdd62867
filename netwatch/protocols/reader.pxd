cdef class Reader:
    cdef readonly bytes data
    cdef public str anomaly
    cdef public Py_ssize_t pos
    cdef readonly Py_ssize_t end

    cpdef long long uint(self, Py_ssize_t size) except -1
    cpdef bytes read(self, long long size)
    cpdef bytes vector(self, Py_ssize_t size)
    cpdef long long varint(self) except -1
