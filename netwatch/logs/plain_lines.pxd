cimport cython
from netwatch.core.observation_batch cimport ObservationBatch
from netwatch.logs.splitter cimport Splitter

@cython.final
cdef class PlainLines(Splitter):
    cdef readonly object layout
    cdef readonly str name
    cdef readonly str source
    cdef readonly tuple lacks
    cdef const unsigned char[::1] lowered
    cdef bytearray raw
    cdef object minute_of
    cdef bint by_port
    cdef long long silent_port
    cdef bint has_lists
    cdef const unsigned char[::1] minute
    cdef long long minute_start
    cdef long long time
    cdef long long digits
    cdef long long[::1] codes
    cdef long long[::1] list
    cdef long long[::1] owners
    cdef Py_ssize_t aliases
    cdef Py_ssize_t start
    cdef ObservationBatch batch
    cdef long long last_type
    cdef long long last_code
    cdef long long a
    cdef long long aaaa
    cdef long long cname
    cdef long long no_error
    cdef long long format
    cdef long long lacks_word
    cdef long long raw_text
    cdef long long answers
    cdef long long chain
    cdef Py_ssize_t ttl_end

    cpdef bint is_full(self) noexcept
    cdef bint add(self, long long line) except -1
    cdef long long digits_at(self, Py_ssize_t at, Py_ssize_t end) noexcept
    cdef long long number(self, long long role, long long most) noexcept
    cdef long long text(self, long long role) noexcept
    cdef long long code(self) noexcept
    cdef long long host(self, Py_ssize_t at, Py_ssize_t end) noexcept
    cdef long long address(self, Py_ssize_t at, Py_ssize_t end) except *
    cdef long long packed_ipv4(self, Py_ssize_t at, Py_ssize_t end) noexcept
    cdef bint read_time(self) except -1
    cdef bint is_in_minute(self, Py_ssize_t at, Py_ssize_t end) except -1
    cdef bint is_from_server(self, long long source_port, long long destination_port) noexcept
    cdef bint listed(self, long long kind) except -1
    cdef bint may_be_address(self, Py_ssize_t at, Py_ssize_t end) noexcept
    cdef long long interval(self, Py_ssize_t at, Py_ssize_t end) noexcept
    cdef bint recorded(self, long long name) except -1
    cdef void add_alias(self, long long name) noexcept
    cdef bint is_asked(self, long long owner, long long name) noexcept
    cdef long long chain_list(self) noexcept
