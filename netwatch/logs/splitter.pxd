cimport cython

cdef class Splitter:
    cdef const unsigned char[::1] data
    cdef const unsigned char[::1] plain
    cdef const unsigned char[::1] in_text
    cdef bint is_json
    cdef long long[::1] begins
    cdef long long[::1] ends
    cdef long long[::1] values
    cdef long long[::1] record_begins
    cdef long long[::1] record_ends
    cdef readonly Py_ssize_t records
    cdef Py_ssize_t questions
    cdef long long[::1] forms
    cdef long long[::1] required
    cdef Py_ssize_t columns
    cdef long long[::1] column_roles
    cdef long long[::1] first_words
    cdef long long[::1] words
    cdef const unsigned char[::1] word_octets
    cdef long long[::1] first_keys
    cdef long long[::1] keys
    cdef const unsigned char[::1] key_octets
    cdef const unsigned char[::1] kind
    cdef Py_ssize_t kind_size
    cdef const unsigned char[::1] carriers
    cdef const unsigned char[::1] literals

    cdef bint split(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint by_tabs(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint take(self, long long role, Py_ssize_t start, Py_ssize_t end, long long form, Py_ssize_t record) noexcept nogil
    cdef bint is_at(self, Py_ssize_t start, Py_ssize_t end, const unsigned char[::1] octets, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef Py_ssize_t after_blanks(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t end_of_text(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t read_object(self, Py_ssize_t at, Py_ssize_t end, long long node, Py_ssize_t record, int depth) noexcept nogil
    cdef Py_ssize_t key_of(self, long long node, Py_ssize_t start, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t read_value(self, Py_ssize_t at, Py_ssize_t end, Py_ssize_t key, Py_ssize_t record, int depth) noexcept nogil
    cdef Py_ssize_t read_list(self, Py_ssize_t at, Py_ssize_t end, long long node, long long role, int depth) noexcept nogil
    cdef Py_ssize_t end_of_number(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t end_of_literal(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
