cimport cython
from netwatch.core.community_id cimport CommunityIds
from netwatch.core.observation_batch cimport ObservationBatch
from netwatch.formats.quoted_texts cimport QuotedTexts
from netwatch.formats.quoted_texts cimport TextBuffer

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
    cdef bint cells
    cdef TextBuffer constants
    cdef TextBuffer out
    cdef QuotedTexts texts
    cdef object odd_list
    cdef long long source
    cdef long long source_place
    cdef long long second
    cdef unsigned char[::1] second_text
    cdef readonly CommunityIds community_ids

    cdef _row(self, ObservationBatch batch, Py_ssize_t row)
    cdef _value(self, ObservationBatch batch, Py_ssize_t row, long long kind, long long word)
    cdef _time(self, long long time, long long digits)
    cdef _texts(self, ObservationBatch batch, long long word)
    cdef _addresses(self, ObservationBatch batch, long long word)
