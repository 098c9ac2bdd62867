from netwatch.dissect.loop.links cimport Links

cdef class Lookups(Links):
    cdef long long[::1] answers
    cdef public long long forgotten
    cdef long long now

    cdef bint lookup(self, Py_ssize_t at) noexcept nogil
    cdef unsigned long long fold(self, unsigned long long sum_, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef void enter(self, unsigned long long sum_, long long now, long long until) noexcept nogil
