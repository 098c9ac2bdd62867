cimport cython
from netwatch.dissect.loop.domain_filter cimport DomainFilter
from netwatch.dissect.loop.observation_rows cimport NameTexts, ObservationRows
from netwatch.dissect.loop.octets cimport Window


@cython.final
cdef class RequestHead(Window):
    cdef const unsigned char[::1] token
    cdef const unsigned char[::1] words
    cdef readonly Py_ssize_t end
    cdef readonly Py_ssize_t fields
    cdef readonly Py_ssize_t fields_end
    cdef readonly int hosts
    cdef Py_ssize_t host
    cdef Py_ssize_t host_end
    cdef readonly Py_ssize_t authority
    cdef readonly Py_ssize_t authority_end
    cdef readonly bint connect
    cdef readonly bint too_long
    cdef readonly int deviations
    cdef readonly Py_ssize_t next
    cdef readonly Py_ssize_t value
    cdef readonly Py_ssize_t value_end
    cdef readonly Py_ssize_t name
    cdef readonly Py_ssize_t name_end

    cpdef int read(self, Py_ssize_t at, Py_ssize_t end, bint last) noexcept nogil
    cdef Py_ssize_t line_end(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t method_end(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint may_be_method(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef int request_line(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint is_blank(self, Py_ssize_t at) noexcept nogil
    cdef bint version(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef void find_authority(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cpdef void read_fields(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cpdef int field(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t word_end(self, Py_ssize_t at, Py_ssize_t end, Py_ssize_t word, Py_ssize_t size) noexcept nogil
    cpdef void find_name(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil


@cython.final
cdef class HttpRequests:
    cdef ObservationRows rows
    cdef NameTexts names
    cdef RequestHead head
    cdef DomainFilter domains
    cdef long long[::1] counts
    cdef readonly bint active

    cdef bint read(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint uninteresting(self) noexcept nogil
    cdef bint add_rows(self, long long flow) noexcept nogil
    cdef void add_row(self, long long name, long long raw, long long flow) noexcept nogil
    cdef long long text(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef long long raw(self, long long name) noexcept nogil
