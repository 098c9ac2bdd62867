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
