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
    cdef readonly Py_ssize_t texts
    cdef readonly Py_ssize_t used

    cpdef bint has_room(self) noexcept nogil
    cdef Py_ssize_t new_row(self) noexcept nogil
    cdef long long text_of(self, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef long long add_text(self, Py_ssize_t size) noexcept nogil
    cdef void add_to_list(self, long long word) noexcept nogil
    cdef long long list_since(self, Py_ssize_t start, long long entries) noexcept nogil
    cdef DnsInfo _dns(self, Py_ssize_t at)
    cdef TlsInfo _tls(self, Py_ssize_t at)
    cdef bint _equal(self, Py_ssize_t one, Py_ssize_t other, Py_ssize_t size) noexcept nogil
