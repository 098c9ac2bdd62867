cimport cython
from netwatch.logs.line_fields cimport LineFields

cdef class Splitter(LineFields):
    cdef const unsigned char[::1] in_text
    cdef bint is_json
    cdef Py_ssize_t questions
    cdef long long[::1] required
    cdef long long[::1] first_keys
    cdef long long[::1] keys
    cdef const unsigned char[::1] key_octets
    cdef const unsigned char[::1] kind
    cdef Py_ssize_t kind_size
    cdef const unsigned char[::1] carriers
    cdef const unsigned char[::1] literals
    cdef bint is_text

    cdef bint split(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t end_of_text(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t read_object(self, Py_ssize_t at, Py_ssize_t end, long long node, Py_ssize_t record, int depth) noexcept nogil
    cdef Py_ssize_t key_of(self, long long node, Py_ssize_t start, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t read_value(self, Py_ssize_t at, Py_ssize_t end, Py_ssize_t key, Py_ssize_t record, int depth) noexcept nogil
    cdef Py_ssize_t read_list(self, Py_ssize_t at, Py_ssize_t end, long long node, long long role, int depth) noexcept nogil
    cdef Py_ssize_t end_of_number(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef Py_ssize_t end_of_literal(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
