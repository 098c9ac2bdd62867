cimport cython
from netwatch.core.observation_batch cimport ObservationBatch


@cython.final
cdef class TextBuffer:
    cdef unsigned char[::1] octets
    cdef Py_ssize_t used

    cdef int reserve(self, Py_ssize_t size) except -1
    cdef long long place_since(self, Py_ssize_t start)
    cdef int add(self, TextBuffer other, long long place) except -1
    cdef int add_octets(self, unsigned char[::1] octets, Py_ssize_t start, Py_ssize_t size) except -1
    cpdef long long add_text(self, str text) except *
    cdef str take(self)


@cython.final
cdef class QuotedTexts:
    cdef object odd_text
    cdef TextBuffer marks
    cdef long long quote
    cdef TextBuffer buffer
    cdef unsigned char[::1] unsafe
    cdef unsigned char[::1] unsafe_start
    cdef long long[::1] text_places
    cdef long long[::1] address_places
    cdef unsigned char[::1] odd

    cdef void forget(self, Py_ssize_t texts)
    cdef long long text(self, ObservationBatch batch, long long number) except *
    cdef long long address(self, ObservationBatch batch, long long number) except *
