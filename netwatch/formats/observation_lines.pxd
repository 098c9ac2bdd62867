cimport cython
from netwatch.core.community_ids cimport CommunityIds
from netwatch.core.observation_batch cimport ObservationBatch

@cython.final
cdef class ObservationLines:
    cdef object style
    cdef Py_ssize_t columns
    cdef long long[::1] kinds
    cdef long long[::1] words
    cdef long long[::1] absent
    cdef long long[::1] groups
    cdef long long[::1] same_keys
    cdef long long[::1] keys
    cdef long long[::1] evidence
    cdef long long[::1] transports
    cdef long long begin
    cdef long long end
    cdef long long close
    cdef long long quote
    cdef long long open_list
    cdef long long close_list
    cdef long long separator
    cdef unsigned char[::1] constants
    cdef bint cells
    cdef object odd_list
    cdef unsigned char[::1] unsafe
    cdef unsigned char[::1] unsafe_start
    cdef unsigned char[::1] out
    cdef Py_ssize_t used
    cdef unsigned char[::1] quoted
    cdef Py_ssize_t quoted_used
    cdef long long[::1] text_places
    cdef long long[::1] address_places
    cdef unsigned char[::1] odd
    cdef long long source
    cdef long long source_place
    cdef long long second
    cdef unsigned char[::1] second_text
    cdef CommunityIds community_ids

    cdef void _forget(self, Py_ssize_t texts)
    cdef _hand_over(self, object write)
    cdef _row(self, ObservationBatch batch, Py_ssize_t row)
    cdef _value(self, ObservationBatch batch, Py_ssize_t row, long long kind, long long word)
    cdef _time(self, long long time, long long digits)
    cdef _texts(self, ObservationBatch batch, long long word)
    cdef _addresses(self, ObservationBatch batch, long long word)
    cdef long long _text(self, ObservationBatch batch, long long number) except *
    cdef long long _quoted(self, str text) except *
    cdef long long _quoted_plain(self, ObservationBatch batch, Py_ssize_t start, Py_ssize_t size) except *
    cdef long long _address(self, ObservationBatch batch, long long number) except *
    cdef void _add_quote(self)
    cdef _put_text(self, str text)
    cdef int _put(self, long long place) except -1
    cdef int _put_quoted(self, long long place) except -1
    cdef int _reserve(self, Py_ssize_t size) except -1
    cdef int _reserve_quoted(self, Py_ssize_t size) except -1
