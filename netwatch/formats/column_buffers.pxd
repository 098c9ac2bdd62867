cimport cython
from netwatch.core.observation_batch cimport ObservationBatch

@cython.final
cdef class ColumnBuffers:
    cdef ObservationBatch batch
    cdef readonly Py_ssize_t count
    cdef long long[::1] rows
    cdef long long[::1] codes
    cdef unsigned char[::1] octets
    cdef Py_ssize_t used
    cdef int[::1] offsets
    cdef Py_ssize_t strings
    cdef unsigned char[::1] bits
    cdef unsigned char[::1] values
    cdef int[::1] indices

    cdef bint _is_empty(self, Py_ssize_t at) except -1
    cdef _start_bits(self)
    cdef _start_indices(self, Py_ssize_t count)
    cdef _start_numbers(self, Py_ssize_t size)
    cdef int _put(self, Py_ssize_t i, Py_ssize_t width, long long value) except -1
    cdef _start_strings(self, Py_ssize_t most)
    cdef int _add_string(self, long long text, bint address) except -1
    cdef int _end_string(self) except -1
    cdef _strings(self)
    cdef int _reserve(self, Py_ssize_t size) except -1
