cimport cython
from netwatch.dissect.loop cimport layout


@cython.final
cdef class HelloBuffer:
    cdef long long[::1] entries
    cdef long long[::1] spans
    cdef unsigned char[::1] hellos
    cdef unsigned char[::1] packets
    cdef long long[::1] rows
    cdef long long[::1] free
    cdef Py_ssize_t count_free
    cdef long long[::1] released
    cdef Py_ssize_t count_released
    cdef Py_ssize_t spare
    cdef readonly long long used

    cdef void begin(self, long long flow, long long side, long long base, long long now) noexcept nogil
    cdef bint place(self, Py_ssize_t entry, long long position, const unsigned char[::1] data, Py_ssize_t at, long long size) noexcept nogil
    cdef long long contiguous(self, Py_ssize_t entry) noexcept nogil
    cdef bint use_spare(self) noexcept nogil
    cdef void drop(self, Py_ssize_t entry) noexcept nogil
    cdef void release(self, Py_ssize_t entry) noexcept nogil
    cdef Py_ssize_t oldest(self) noexcept nogil
    cdef Py_ssize_t store_packet(self, Py_ssize_t entry, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t size) noexcept nogil


@cython.final
cdef class KeptMessages:
    cdef unsigned char[::1] octets
    cdef long long[::1] heads
    cdef long long[::1] ends
    cdef long long capacity
    cdef long long messages
    cdef readonly long long count
    cdef long long end

    cdef long long keep(self, long long place, long long before, const unsigned char[::1] data, Py_ssize_t at, long long size) noexcept nogil
    cdef bint has(self, long long number) noexcept nogil
    cdef int compare(self, long long number, long long place, const unsigned char[::1] data, Py_ssize_t at, long long size) noexcept nogil
    cdef bint lacks(self, long long number, long long side, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef bint contains(self, long long number, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef bint equals(self, long long number, long long ahead, const unsigned char[::1] data, Py_ssize_t at, long long size) noexcept nogil
