cimport cython
from netwatch.logs.line_values cimport LineValues

cdef class LineRequests(LineValues):
    cdef long long[::1] outcomes
    cdef object outcome_of
    cdef const unsigned char[::1] words_of_urls
    cdef long long port

    cdef bint add_request(self, long long line) except -1
    cdef Py_ssize_t outcome(self, bint has_size) except -2
    cdef long long host_of_url(self) noexcept
