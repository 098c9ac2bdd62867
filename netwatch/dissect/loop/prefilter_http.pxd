from netwatch.dissect.loop.prefilter cimport Glimpse

cdef class Requests(Glimpse):
    cdef bint request_idle(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t request_line(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t field_name(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t line_end(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint host_idle(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
