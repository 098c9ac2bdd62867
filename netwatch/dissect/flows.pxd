cdef class Flows:
    cdef long long[::1] table
    cdef long long mask
    cdef public long long flows
    cdef public long long evicted
    cdef bint recording
    cdef bint fresh
    cdef long long[::1] ended
    cdef long long over

    cdef Py_ssize_t find(self, long long key, long long now) noexcept nogil
    cdef Py_ssize_t seek(self, long long key) noexcept nogil
    cdef void set_state(self, Py_ssize_t slot, int side, long long state) noexcept nogil
    cdef void opened(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef bint first(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef bint may_begin(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef bint syn(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef void quiet(self, Py_ssize_t slot, int side) noexcept nogil
    cdef bint repeated(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef void finish(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef void wait(self, Py_ssize_t slot, int side) noexcept nogil
    cdef void owe(self, Py_ssize_t slot, int side, long long seq, long long need) noexcept nogil
    cdef int talks(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef bint wants(self, Py_ssize_t slot, int side, long long seq, long long size) noexcept nogil
    cdef void count(self, Py_ssize_t slot, int side, long long size) noexcept nogil
    cdef void client(self, Py_ssize_t slot, int side, bint started) noexcept nogil
    cdef void close(self, Py_ssize_t slot) noexcept nogil
    cdef void tell(self, Py_ssize_t slot, long long outcome) noexcept nogil
    cdef long long name(self, Py_ssize_t slot) noexcept nogil
