cimport cython

@cython.final
cdef class Sha256:
    cdef readonly unsigned int[::1] states
    cdef readonly unsigned int[::1] blocks
    cdef unsigned int[::1] schedule
    cdef unsigned int[::1] constants
    cdef public bint native

    cpdef void compress(self, Py_ssize_t block, Py_ssize_t start, Py_ssize_t to) noexcept nogil
