cimport cython

cdef unsigned long long _hash(bytes text) except? 0
cdef unsigned long long _end_of(unsigned long long first, unsigned long long second, unsigned long long third) noexcept nogil

cdef class NameFinder:
    cdef Py_ssize_t line_end
    cdef bint labels
    cdef bint single
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
    cdef const unsigned char[::1] word_ends
    cdef bint any_end

    cdef bint has_name(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint is_in_needle(self, Py_ssize_t line, Py_ssize_t token, Py_ssize_t size, Py_ssize_t end) noexcept nogil
    cdef bint is_in_domain(self, Py_ssize_t line, Py_ssize_t start, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t end_of_name(self, Py_ssize_t start, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t start_of_length(self, Py_ssize_t start, Py_ssize_t closing) noexcept nogil
    cdef bint is_domain(self, unsigned long long hash_) noexcept nogil
    cdef bint has_word(self, Py_ssize_t at) noexcept nogil
    cdef bint is_word(self, unsigned long long hash_) noexcept nogil
