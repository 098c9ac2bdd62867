cdef class Initial:
    cdef readonly object version
    cdef readonly bytes dcid
    cdef readonly Py_ssize_t start
    cdef readonly Py_ssize_t number_offset
    cdef readonly Py_ssize_t end
