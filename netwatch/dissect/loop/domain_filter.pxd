from netwatch.dissect.loop.preface_masks cimport Prefaces

cdef class Zones(Prefaces):
    cdef long long[::1] zones
    cdef unsigned long long last
    cdef bint filtering
    cdef unsigned long long sum
    cdef Py_ssize_t stopped
    cdef unsigned char[::1] spelling
    cdef long long[::1] powers
    cdef long long[::1] marks
    cdef long long[::1] places
    cdef Py_ssize_t count_labels
    cdef Py_ssize_t length

    cdef void feed(self, int byte) noexcept nogil
    cdef bint is_idle(self) noexcept nogil
    cdef bint spell(self, Py_ssize_t at, Py_ssize_t end, bint dots) noexcept nogil
    cdef void anew(self) noexcept nogil
    cdef bint labels(self, Py_ssize_t start, Py_ssize_t at, Py_ssize_t end) noexcept nogil
