cimport cython

@cython.final
cdef class Keys:
    cdef unsigned int[::1] states
    cdef unsigned int[::1] blocks
    cdef unsigned int[::1] schedule
    cdef unsigned int[::1] constants
    cdef unsigned int[::1] made

    cdef void compress(self, Py_ssize_t block, Py_ssize_t start, Py_ssize_t to) noexcept nogil
    cdef void mac(self, Py_ssize_t block, Py_ssize_t pads, Py_ssize_t to) noexcept nogil
    cdef void pad(self, Py_ssize_t secret) noexcept nogil
    cdef void derive(self, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t size, Py_ssize_t version) noexcept nogil
