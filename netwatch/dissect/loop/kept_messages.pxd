cimport cython

@cython.final
cdef class KeptMessages:
    cdef unsigned char[::1] octets
    cdef long long[::1] heads
    cdef long long[::1] ends
    cdef long long capacity
    cdef long long messages
    cdef readonly long long count
    cdef long long end

    cdef long long keep(self, long long place, long long before, const unsigned char[::1] data, Py_ssize_t at, long long size) noexcept nogil
    cdef bint has(self, long long number) noexcept nogil
    cdef int compare(self, long long number, long long place, const unsigned char[::1] data, Py_ssize_t at, long long size) noexcept nogil
    cdef bint lacks(self, long long number, long long side, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef bint contains(self, long long number, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef bint equals(self, long long number, long long ahead, const unsigned char[::1] data, Py_ssize_t at, long long size) noexcept nogil
