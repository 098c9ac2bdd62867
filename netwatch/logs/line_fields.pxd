cimport cython

cdef class LineFields:
    cdef const unsigned char[::1] data
    cdef const unsigned char[::1] plain
    cdef long long[::1] begins
    cdef long long[::1] ends
    cdef long long[::1] values
    cdef long long[::1] record_begins
    cdef long long[::1] record_ends
    cdef readonly Py_ssize_t records
    cdef long long[::1] forms
    cdef Py_ssize_t columns
    cdef long long[::1] column_roles
    cdef long long[::1] first_words
    cdef long long[::1] words
    cdef const unsigned char[::1] word_octets
    cdef Py_ssize_t parts
    cdef long long[::1] pattern
    cdef const unsigned char[::1] pattern_octets
    cdef const unsigned char[::1] goes_on

    cdef bint by_tabs(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint take(self, long long role, Py_ssize_t start, Py_ssize_t end, long long form, Py_ssize_t record) noexcept nogil
    cdef bint is_at(self, Py_ssize_t start, Py_ssize_t end, const unsigned char[::1] octets, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef Py_ssize_t after_blanks(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint by_pattern(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t end_of_field(self, Py_ssize_t at, Py_ssize_t end, Py_ssize_t part) noexcept nogil
    cdef bint take_text(self, long long role, Py_ssize_t start, Py_ssize_t end) noexcept nogil
