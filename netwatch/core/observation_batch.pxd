cimport cython
from netwatch.core.message cimport DnsInfo, Message, TlsInfo
from netwatch.core.message cimport Observation
from netwatch.core.message cimport Packet
from netwatch.core.text_dictionary cimport TextDictionary

@cython.final
cdef class ObservationBatch(TextDictionary):
    cdef public object sources
    cdef readonly dict frames
    cdef readonly list spans
    cdef readonly Py_ssize_t capacity
    cdef readonly Py_ssize_t count
    cdef long long[::1] words
    cdef long long[::1] lists
    cdef readonly Py_ssize_t list_words
    cdef dict lacks

    cpdef bint has_room(self) noexcept nogil
    cdef Py_ssize_t new_row(self) noexcept nogil
    cdef Py_ssize_t copied_row(self, Py_ssize_t source) noexcept nogil
    cdef Py_ssize_t take_row(self, ObservationBatch other, Py_ssize_t row) except -1
    cdef long long text_from(self, ObservationBatch other, long long text) except *
    cdef void add_to_list(self, long long word) noexcept nogil
    cdef long long list_since(self, Py_ssize_t start, long long entries) noexcept nogil
    cdef DnsInfo _dns(self, Py_ssize_t at)
    cdef object _log(self, Py_ssize_t at)
    cdef TlsInfo _tls(self, Py_ssize_t at)
