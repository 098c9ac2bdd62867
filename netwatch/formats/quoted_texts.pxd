cimport cython
from netwatch.core.observation_batch cimport ObservationBatch
from netwatch.formats.text_buffer cimport TextBuffer

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
