cimport cython
from netwatch.dissect.loop.octets cimport AddressHash

cpdef unsigned long long _place(unsigned long long word, unsigned long long half) noexcept nogil

@cython.final
cdef class Division(AddressHash):
    cdef readonly int workers
    cdef unsigned long long salt
    cdef readonly bint by_flow
    cdef const unsigned char[::1] inside
    cdef const unsigned char[::1] ether_types
    cdef const unsigned char[::1] udp_tunnels

    cdef int owner(self, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef int reduced(self, unsigned long long hash_) noexcept nogil
    cdef bint is_inside(self, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef int of_ends(self, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef int of_flow(self, Py_ssize_t at, Py_ssize_t size, Py_ssize_t ports) noexcept nogil
    cdef int of_lookup(self, Py_ssize_t at, Py_ssize_t size, Py_ssize_t ports, Py_ssize_t end) noexcept nogil
    cpdef bint is_client(self, int worker, bytes client, bytes other)
    cpdef bint is_counted(self, int worker, bytes one, bytes other)
    cpdef long long divide(self, const unsigned char[::1] data, const long long[::1] records, Py_ssize_t count, const int[::1] layers, long long[::1] out, unsigned char[::1] owners)
    cdef int of_frame(self, Py_ssize_t at, Py_ssize_t captured, Py_ssize_t wire) noexcept nogil
    cdef int of_transport(self, int protocol, Py_ssize_t addresses, Py_ssize_t size, Py_ssize_t at, Py_ssize_t end, Py_ssize_t wire_end) noexcept nogil
    cdef bint is_lookup(self, long long source, long long destination) noexcept nogil
