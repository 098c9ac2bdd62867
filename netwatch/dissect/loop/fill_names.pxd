cimport cython
from netwatch.core.observation_batch cimport ObservationBatch
from netwatch.dissect.loop.octets cimport Window

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
