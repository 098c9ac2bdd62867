cdef class TextDictionary:
    cdef unsigned char[::1] octets
    cdef long long[::1] starts
    cdef long long[::1] places
    cdef long long[::1] slots
    cdef Py_ssize_t mask
    cdef unsigned long long salt
    cdef readonly Py_ssize_t texts
    cdef readonly Py_ssize_t used
    cdef readonly long long cleared

    cdef long long text_of(self, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef long long add_text(self, Py_ssize_t size) noexcept nogil
    cdef bint _is(self, Py_ssize_t text, Py_ssize_t at, Py_ssize_t size) noexcept nogil
