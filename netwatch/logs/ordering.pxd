cimport cython
from netwatch.core.observation_batch cimport ObservationBatch

@cython.final
cdef class Rows:
    cdef readonly ObservationBatch batch
    cdef readonly str source
    cdef readonly Py_ssize_t first
    cdef readonly Py_ssize_t last

@cython.final
cdef class RowSink:
    cdef readonly ObservationBatch batch
    cdef object number_of
    cdef Py_ssize_t limit
    cdef str source
    cdef long long number
    cdef public list evidence

    cdef bint is_full(self) noexcept
    cdef void take(self, Rows rows, Py_ssize_t row)

@cython.final
cdef class Stream:
    cdef object entries
    cdef object entry
    cdef list conversations
    cdef Rows rows
    cdef Py_ssize_t row
    cdef Py_ssize_t at
    cdef long long time
    cdef long long stream

    cdef bint advance(self) except -1
    cdef bint advance_row(self, Py_ssize_t row) except -1
    cdef bint precedes(self, Stream other)

@cython.final
cdef class Window:
    cdef readonly Py_ssize_t count
    cdef readonly Py_ssize_t size
    cdef long long arrived
    cdef readonly long long handed_on
    cdef long long[::1] times
    cdef long long[::1] numbers
    cdef long long[::1] slots
    cdef list entries
    cdef long long[::1] rows
    cdef readonly Py_ssize_t row

    cdef void add(self, long long time, object entry, Py_ssize_t row)
    cdef object exchange(self, long long time, object entry, Py_ssize_t row)
    cdef object take(self)
    cdef void sink(self, long long time, long long number, long long slot) noexcept
    cdef bint is_before(self, Py_ssize_t at, long long time, long long number) noexcept
    cdef void put(self, Py_ssize_t at, long long time, long long number, long long slot) noexcept

cdef Stream earliest(object streams, Stream but)
