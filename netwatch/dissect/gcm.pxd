cdef class Gcm:
    cdef unsigned int[::1] table0
    cdef unsigned int[::1] table1
    cdef unsigned int[::1] table2
    cdef unsigned int[::1] table3
    cdef unsigned int[::1] boxes
    cdef unsigned int[::1] rounds
    cdef unsigned int[::1] block
    cdef unsigned long long[::1] highs
    cdef unsigned long long[::1] lows
    cdef unsigned long long[::1] folds
    cdef unsigned long long high
    cdef unsigned long long low

    cdef void expand(self, const unsigned int[::1] words, Py_ssize_t at, Py_ssize_t key) noexcept nogil
    cdef void encrypt(self, Py_ssize_t key) noexcept nogil
    cdef unsigned int last(self, unsigned int a, unsigned int b, unsigned int c, unsigned int d) noexcept nogil
    cdef void authenticate(self, Py_ssize_t key) noexcept nogil
    cdef void multiply(self, unsigned long long high, unsigned long long low) noexcept nogil
    cdef void take(self, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef void decrypt(self, Py_ssize_t key, const unsigned int[::1] nonce, const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t end, unsigned char[::1] out) noexcept nogil
