cimport cython
from netwatch.core.observation_batch cimport ObservationBatch
from netwatch.dissect.loop.dns_records cimport DnsRecords
from netwatch.dissect.loop.observation_rows cimport NameTexts
from netwatch.dissect.loop.observation_rows cimport ObservationRows
from netwatch.dissect.loop.octets cimport Window

@cython.final
cdef class DnsMessages(Window):
    cdef ObservationRows rows
    cdef ObservationBatch batch
    cdef readonly NameTexts names
    cdef DnsRecords records
    cdef long long[::1] counts
    cdef const unsigned char[::1] texts
    cdef const long long[::1] starts
    cdef long long[::1] known
    cdef long long[::1] reached
    cdef long long[::1] raws
    cdef Py_ssize_t asked
    cdef Py_ssize_t aliases
    cdef Py_ssize_t hosts

    cdef bint message(self, Py_ssize_t at, Py_ssize_t end, long long flow) noexcept nogil
    cdef Py_ssize_t question(self, Py_ssize_t start, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint response(self, Py_ssize_t at, Py_ssize_t pos, Py_ssize_t end, long long kind, long long flow) noexcept nogil
    cdef long long rcode(self, Py_ssize_t at, Py_ssize_t pos, Py_ssize_t end) noexcept nogil
    cdef long long text(self, long long number) noexcept nogil
    cdef bint is_reached(self, long long name, Py_ssize_t count) noexcept nogil
    cdef void follow_aliases(self) noexcept nogil
    cdef void follow_services(self) noexcept nogil
    cdef long long answers(self) noexcept nogil
    cdef long long list_of(self, Py_ssize_t start, Py_ssize_t count) noexcept nogil
