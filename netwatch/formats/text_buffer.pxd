cimport cython

@cython.final
cdef class TextBuffer:
    cdef unsigned char[::1] octets
    cdef Py_ssize_t used

    cdef int reserve(self, Py_ssize_t size) except -1
    cdef long long place_since(self, Py_ssize_t start)
    cdef int add(self, TextBuffer other, long long place) except -1
    cdef int add_octets(self, unsigned char[::1] octets, Py_ssize_t start, Py_ssize_t size) except -1
    cpdef long long add_text(self, str text) except *
    cdef str take(self)
