cimport cython

cdef unsigned long long mixed(unsigned long long hash_, long long a, long long b, long long c, long long d) noexcept nogil
cdef bint contains(const long long[::1] bounds, long long number) noexcept nogil

@cython.final
cdef class AddressFilter:
    cdef unsigned char[::1] counts
    cdef readonly unsigned long long salt
    cdef bint used

    cdef Py_ssize_t place(self, bytes first, bytes second)
    cdef bint may_have(self, unsigned long long hash_) noexcept nogil

@cython.final
cdef class AddressRanges:
    cdef long long[::1] ipv4
    cdef long long[::1] ipv6
    cdef const unsigned char[::1] vlans

    cdef bint are_outside(self, bint is_ipv6, long long a, long long b, long long vlan) noexcept nogil

@cython.final
cdef class AddressCategories:
    cdef long long[::1] entries
    cdef Py_ssize_t mask

    cdef Py_ssize_t seek(self, bint is_ipv6, long long a, long long b, long long c, long long d) noexcept nogil
    cdef long long category(self, bint is_ipv6, long long a, long long b, long long c, long long d) noexcept nogil
