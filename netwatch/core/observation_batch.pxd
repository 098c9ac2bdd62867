cimport cython
from netwatch.core.message cimport DnsInfo, Message, TlsInfo
from netwatch.core.observation cimport Observation
from netwatch.core.packet cimport Packet

@cython.final
cdef class ObservationBatch:
    cdef public object sources
    cdef readonly dict frames
    cdef readonly list spans
    cdef readonly Py_ssize_t capacity
    cdef readonly Py_ssize_t count
    cdef long long[::1] words
    cdef long long[::1] lists
    cdef readonly Py_ssize_t list_words
    cdef unsigned char[::1] octets
    cdef long long[::1] starts
    cdef long long[::1] places
    cdef long long[::1] slots
    cdef Py_ssize_t mask
    cdef unsigned long long salt
    cdef readonly Py_ssize_t texts
    cdef readonly Py_ssize_t used
    cdef readonly long long cleared

    cpdef bint has_room(self) noexcept nogil
    cdef Py_ssize_t new_row(self) noexcept nogil
    cdef Py_ssize_t copied_row(self, Py_ssize_t source) noexcept nogil
    cdef long long text_of(self, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef long long add_text(self, Py_ssize_t size) noexcept nogil
    cdef void add_to_list(self, long long word) noexcept nogil
    cdef long long list_since(self, Py_ssize_t start, long long entries) noexcept nogil
    cdef DnsInfo _dns(self, Py_ssize_t at)
    cdef TlsInfo _tls(self, Py_ssize_t at)
    cdef bint _is(self, Py_ssize_t text, Py_ssize_t at, Py_ssize_t size) noexcept nogil
