cdef class Slots:
    cdef long long[::1] table
    cdef long long[::1] index
    cdef long long mask
    cdef public long long flows
    cdef public long long evicted
    cdef bint recording
    cdef bint fresh
    cdef object store
    cdef long long[::1] ended
    cdef long long over

    cdef Py_ssize_t find(self, long long key, long long now) noexcept nogil
    cdef Py_ssize_t seek(self, long long key) noexcept nogil
    cdef void client(self, Py_ssize_t slot, int side, bint started) noexcept nogil
    cdef void close(self, Py_ssize_t slot) noexcept nogil
    cdef void tell(self, Py_ssize_t slot, long long name_status) noexcept nogil
    cdef void told(self, Py_ssize_t slot, int side, long long begun) noexcept nogil
    cdef bint settled(self, Py_ssize_t slot, int side) noexcept nogil
    cdef void elsewhere(self, long long flow) noexcept nogil
    cdef void count(self, Py_ssize_t slot, int side, long long size) noexcept nogil
    cdef long long name(self, Py_ssize_t slot) noexcept nogil
