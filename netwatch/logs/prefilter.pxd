cimport cython

cdef unsigned long long _hash(bytes text) except? 0

@cython.final
cdef class LineFilter:
    cdef readonly long long[::1] starts
    cdef readonly long long[::1] ends
    cdef readonly long long[::1] numbers
    cdef readonly Py_ssize_t count
    cdef public long long lines
    cdef readonly bint passes_all
    cdef Py_ssize_t line_end
    cdef bint labels
    cdef bint single
    cdef Py_ssize_t around
    cdef long long sample
    cdef Py_ssize_t following
    cdef Py_ssize_t held
    cdef long long[::1] held_starts
    cdef long long[::1] held_ends
    cdef tuple needles
    cdef const unsigned char[::1] anchored
    cdef Py_ssize_t anchors
    cdef long long[::1] anchor_parts
    cdef unsigned long long anchor_sizes
    cdef const unsigned char[::1] data
    cdef const unsigned char[::1] kinds
    cdef const unsigned char[::1] lowered
    cdef const unsigned char[::1] is_of_word
    cdef long long[::1] table
    cdef unsigned long long mask
    cdef const unsigned char[::1] bits
    cdef const unsigned char[::1] word_bits
    cdef bint numeric
    cdef Py_ssize_t words
    cdef long long[::1] word_table
    cdef unsigned long long word_mask
    cdef object word_set
    cdef object domain_set

    cdef void _add(self, long long start, long long end, long long number)
    cdef void _add_held(self)
    cdef void _hold(self, long long at)
    cdef void _find_end(self, bytearray data, Py_ssize_t at, Py_ssize_t end)
    cdef bint _passes(self, bytearray data, Py_ssize_t at, Py_ssize_t end)
    cdef bint has_name(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint is_in_needle(self, Py_ssize_t line, Py_ssize_t token, Py_ssize_t size, Py_ssize_t end) noexcept nogil
    cdef bint is_in_domain(self, Py_ssize_t line, Py_ssize_t start, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t end_of_name(self, Py_ssize_t start, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t start_of_length(self, Py_ssize_t start, Py_ssize_t closing) noexcept nogil
    cdef bint is_domain(self, unsigned long long hash_) noexcept nogil
    cdef bint has_word(self, Py_ssize_t at) noexcept nogil
    cdef bint is_word(self, unsigned long long hash_) noexcept nogil
