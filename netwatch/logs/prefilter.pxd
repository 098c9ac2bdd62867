cimport cython
from netwatch.logs.name_finder cimport NameFinder

@cython.final
cdef class LineFilter(NameFinder):
    cdef readonly long long[::1] starts
    cdef readonly long long[::1] ends
    cdef readonly long long[::1] numbers
    cdef readonly Py_ssize_t count
    cdef public long long lines
    cdef readonly bint passes_all
    cdef Py_ssize_t around
    cdef long long sample
    cdef Py_ssize_t following
    cdef Py_ssize_t held
    cdef long long[::1] held_starts
    cdef long long[::1] held_ends
    cdef tuple needles

    cdef bint is_sample(self) noexcept
    cdef void _add(self, long long start, long long end, long long number)
    cdef void _add_held(self)
    cdef void _hold(self, long long at)
    cdef void _find_end(self, bytearray data, Py_ssize_t at, Py_ssize_t end)
    cdef bint _passes(self, bytearray data, Py_ssize_t at, Py_ssize_t end)
