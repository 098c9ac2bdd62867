cimport cython
from netwatch.logs.line_requests cimport LineRequests

@cython.final
cdef class PlainLines(LineRequests):
    cdef readonly object layout
    cdef readonly str source
    cdef bint has_requests
    cdef bint by_port
    cdef long long silent_port
    cdef bint has_lists
    cdef long long[::1] list
    cdef long long[::1] owners
    cdef Py_ssize_t aliases
    cdef Py_ssize_t start
    cdef long long answers
    cdef long long chain
    cdef Py_ssize_t ttl_end

    cpdef bint is_full(self) noexcept
    cdef bint add(self, long long line) except -1
    cdef void add_alias_rows(self, Py_ssize_t first, long long name) noexcept
    cdef bint is_from_server(self, long long source_port, long long destination_port) noexcept
    cdef bint listed(self, long long kind) except -1
    cdef bint may_be_address(self, Py_ssize_t at, Py_ssize_t end) noexcept
    cdef long long interval(self, Py_ssize_t at, Py_ssize_t end) noexcept
    cdef bint recorded(self, long long name) except -1
    cdef void add_alias(self, long long name) noexcept
    cdef bint is_asked(self, long long owner, long long name) noexcept
    cdef long long chain_list(self) noexcept
