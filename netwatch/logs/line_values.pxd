cimport cython
from netwatch.core.observation_batch cimport ObservationBatch
from netwatch.logs.splitter cimport Splitter

cdef class LineValues(Splitter):
    cdef readonly str name
    cdef readonly tuple lacks
    cdef const unsigned char[::1] lowered
    cdef bytearray raw
    cdef object minute_of
    cdef const unsigned char[::1] minute
    cdef long long minute_start
    cdef Py_ssize_t minute_size
    cdef long long time
    cdef long long digits
    cdef long long[::1] codes
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

    cdef long long digits_at(self, Py_ssize_t at, Py_ssize_t end) noexcept
    cdef long long number(self, long long role, long long most) noexcept
    cdef long long text(self, long long role) noexcept
    cdef long long code(self) noexcept
    cdef long long host(self, Py_ssize_t at, Py_ssize_t end) noexcept
    cdef long long address(self, Py_ssize_t at, Py_ssize_t end) except *
    cdef long long packed_ipv4(self, Py_ssize_t at, Py_ssize_t end) noexcept
    cdef bint read_time(self) except -1
    cdef bint is_in_minute(self, Py_ssize_t at, Py_ssize_t minute_end, Py_ssize_t zone, Py_ssize_t end) except -1
    cdef Py_ssize_t new_row(self, long long line) except -1
