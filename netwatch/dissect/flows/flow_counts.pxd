cimport cython

@cython.final
cdef class FlowCounts:
    cdef object cell_store
    cdef object time_store
    cdef long long[::1] cells
    cdef long long[::1] index
    cdef long long[::1] times
    cdef long long cell_limit
    cdef long long time_limit
    cdef unsigned long long salt
    cdef readonly long long used
    cdef readonly long long times_used
    cdef readonly long long flows

    cdef unsigned long long hash_of(self, long long about, long long mac, long long a, long long b, long long c, long long d) noexcept nogil
    cpdef bint is_full(self) noexcept nogil
    cdef void add(self, long long about, long long mac, long long a, long long b, long long c, long long d, long long time) noexcept nogil
