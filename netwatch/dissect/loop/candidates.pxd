cimport cython
from netwatch.core.observation_batch cimport ObservationBatch
from netwatch.dissect.loop.cursor cimport Cursor


@cython.final
cdef class Candidates:
    cdef Cursor cursor
    cdef ObservationBatch batch
    cdef object buffer
    cdef long long[::1] rows
    cdef readonly long long count
    cdef public long long total
    cdef int side
    cdef bint prefiltered
    cdef bint filling
    cdef long long due
    cdef long long full
    cdef long long owner

    cdef void write(self, long long[::1] out, Py_ssize_t row, long long kind, Py_ssize_t at, long long sequence, long long flow) noexcept nogil
    cdef void emit(self, long long kind, Py_ssize_t at, long long sequence, long long flow) noexcept nogil
    cdef bint has_ech(self, Py_ssize_t at) noexcept nogil
    cdef void set_due(self, long long due, long long buffered) noexcept nogil
    cdef bint is_due(self) noexcept nogil
    cdef void emit_clock(self, long long flow) noexcept nogil
    cdef void emit_opening(self, long long flow) noexcept nogil
    cdef void emit_answer(self, long long flow) noexcept nogil
    cdef void emit_buffered(self, long long[::1] rows, Py_ssize_t row) noexcept nogil


@cython.final
cdef class Learning:
    cdef Cursor cursor
    cdef Candidates candidates
    cdef public int sources

    cdef void non_ip(self) noexcept nogil
    cdef bint has_fragment_header(self) noexcept nogil
    cdef long long dhcp(self, long long source, long long destination) noexcept nogil
