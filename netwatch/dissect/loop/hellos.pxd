from netwatch.dissect.quic.initial_packets cimport Initials
from netwatch.dissect.loop.candidates cimport Rows

cdef class Hellos(Rows):
    cdef readonly Initials initials
    cdef unsigned char[::1] ids

    cdef Py_ssize_t entry(self, Py_ssize_t slot, long long flow) noexcept nogil
    cdef void give_up(self, Py_ssize_t slot, long long flow) noexcept nogil
    cdef bint first_seen(self, Py_ssize_t slot) noexcept nogil
    cdef void let_go(self, Py_ssize_t slot) noexcept nogil
    cdef bint put_by(self, Py_ssize_t slot, Py_ssize_t entry, long long kind, Py_ssize_t at, long long seq, long long flow) noexcept nogil
    cdef bint idle_in(self, Py_ssize_t entry, Py_ssize_t start, Py_ssize_t stop) noexcept nogil
    cdef void done(self, Py_ssize_t slot, Py_ssize_t entry) noexcept nogil
    cdef long long number(self, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef bint segment(self, Py_ssize_t slot, long long kind, Py_ssize_t at, long long seq) noexcept nogil
    cdef bint joined(self, Py_ssize_t slot, long long kind, Py_ssize_t at, long long seq, long long flow) noexcept nogil
    cdef bint initial(self, Py_ssize_t slot, Py_ssize_t at) noexcept nogil
    cdef bint opened(self, Py_ssize_t slot, Py_ssize_t entry, Py_ssize_t at, long long flow) noexcept nogil
    cdef bint same_keys(self, Py_ssize_t entry) noexcept nogil
    cdef bint frames(self, Py_ssize_t entry, Py_ssize_t size) noexcept nogil
