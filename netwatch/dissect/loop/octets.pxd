cdef bint copy(const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t size, unsigned char[::1] out, Py_ssize_t to) noexcept nogil
