cimport cython
from netwatch.dissect.loop.observation_rows cimport NameTexts
from netwatch.dissect.loop.observation_rows cimport ObservationRows
from netwatch.dissect.loop.octets cimport Window
from netwatch.dissect.loop.prefilter cimport RequestPrefilter

@cython.final
cdef class HttpRequests(Window):
    cdef ObservationRows rows
    cdef NameTexts names
    cdef RequestPrefilter requests
    cdef long long[::1] counts
    cdef readonly bint active
    cdef Py_ssize_t target
    cdef Py_ssize_t target_end
    cdef long long raw

    cdef bint request(self, Py_ssize_t at, Py_ssize_t end, long long flow) noexcept nogil
    cdef void add_row(self, long long name, long long raw, long long flow) noexcept nogil
    cdef Py_ssize_t request_line(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint find_authority(self, bint connect) noexcept nogil
    cdef long long host(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
