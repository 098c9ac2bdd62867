cimport cython

@cython.final
cdef class Gcm:
    cdef unsigned int[::1] steps
    cdef unsigned int[::1] boxes
    cdef unsigned int[::1] rounds
    cdef unsigned int[::1] blocks
    cdef unsigned long long[::1] products
    cdef unsigned long long[::1] folds
    cdef unsigned long long high
    cdef unsigned long long low
    cdef public bint native

    cdef void expand(self, const unsigned int[::1] words, Py_ssize_t at, Py_ssize_t key) noexcept nogil
    cdef void encrypt(self, Py_ssize_t key, Py_ssize_t count) noexcept nogil
    cdef void authenticate(self, Py_ssize_t key) noexcept nogil
    cdef bint take(self, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef void multiply(self, unsigned long long high, unsigned long long low) noexcept nogil
    cdef bint decrypt(self, Py_ssize_t key, const unsigned int[::1] nonce, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t end, unsigned char[::1] out) noexcept nogil
