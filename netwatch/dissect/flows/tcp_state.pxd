from netwatch.dissect.flows.table cimport Slots

cdef class Flows(Slots):
    cdef bint is_open(self, Py_ssize_t slot, int side) noexcept nogil
    cdef void set_state(self, Py_ssize_t slot, int side, long long state) noexcept nogil
    cdef void opened(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef bint first(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef bint may_begin(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef bint syn(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef void quiet(self, Py_ssize_t slot, int side) noexcept nogil
    cdef bint repeated(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef void finish(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef bint alone(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef void wait(self, Py_ssize_t slot, int side) noexcept nogil
    cdef void owe(self, Py_ssize_t slot, int side, long long seq, long long need) noexcept nogil
    cdef int talks(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef bint wants(self, Py_ssize_t slot, int side, long long seq, long long size) noexcept nogil
