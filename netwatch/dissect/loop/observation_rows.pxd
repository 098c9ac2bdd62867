cimport cython
from netwatch.core.observation_batch cimport ObservationBatch
from netwatch.dissect.loop.cursor cimport Cursor
from netwatch.dissect.loop.octets cimport Window


@cython.final
cdef class ObservationRows:
    cdef Cursor cursor
    cdef readonly ObservationBatch batch
    cdef readonly bint active
    cdef readonly bint fingerprints
    cdef const long long[::1] records
    cdef const int[::1] digits
    cdef long long first_packet
    cdef readonly Py_ssize_t start
    cdef Py_ssize_t counted

    cdef bint is_full(self) noexcept nogil
    cdef bint can_add(self) noexcept nogil
    cdef long long source_address(self) noexcept nogil
    cdef long long destination_address(self) noexcept nogil
    cdef long long address_at(self, Py_ssize_t at) noexcept nogil
    cdef Py_ssize_t add(self, long long evidence, long long name, bint to_client, long long flow) noexcept nogil
    cdef long long mac(self, Py_ssize_t at) noexcept nogil


@cython.final
cdef class NameTexts(Window):
    cdef ObservationBatch batch
    cdef Py_ssize_t name_end
    cdef unsigned long long capitals

    cdef long long domain(self, Py_ssize_t start, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef long long raw_domain(self, Py_ssize_t start, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint label(self, Py_ssize_t at, Py_ssize_t size, Py_ssize_t to) noexcept nogil
    cdef long long host(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef long long octets(self, Py_ssize_t at, Py_ssize_t size) noexcept nogil
