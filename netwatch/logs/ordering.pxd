cimport cython

@cython.final
cdef class Stream:
    cdef object entries
    cdef object entry
    cdef list conversations
    cdef Py_ssize_t at
    cdef long long time
    cdef long long stream

    cdef bint advance(self)
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

    cdef void add(self, long long time, object entry)
    cdef object exchange(self, long long time, object entry)
    cdef object take(self)
    cdef void sink(self, long long time, long long number, long long slot) noexcept
    cdef bint is_before(self, Py_ssize_t at, long long time, long long number) noexcept
    cdef void put(self, Py_ssize_t at, long long time, long long number, long long slot) noexcept

cdef Stream earliest(object streams, Stream but)
