cimport cython
from netwatch.dissect.loop.octets cimport Window

@cython.final
cdef class ClientHello(Window):
    cdef unsigned char[::1] given
    cdef unsigned char[::1] seen
    cdef long long[::1] places
    cdef int deviations
    cdef long long version
    cdef Py_ssize_t first
    cdef Py_ssize_t stop
    cdef Py_ssize_t ciphers
    cdef Py_ssize_t ciphers_size
    cdef Py_ssize_t names
    cdef Py_ssize_t name
    cdef Py_ssize_t name_size
    cdef Py_ssize_t alpn
    cdef Py_ssize_t alpn_size
    cdef Py_ssize_t versions
    cdef Py_ssize_t versions_size
    cdef Py_ssize_t signatures
    cdef Py_ssize_t signatures_size
    cdef Py_ssize_t ech
    cdef Py_ssize_t ech_size

    cdef void clear(self) noexcept nogil
    cdef bint is_plain(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint read(self, Py_ssize_t at, Py_ssize_t end, bint cookie) noexcept nogil
    cdef void read_extensions(self, Py_ssize_t pos, Py_ssize_t end) noexcept nogil
    cdef int read_extension(self, long long kind, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef int read_names(self, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef int read_ech(self) noexcept nogil
    cdef long long newest(self, bint datagrams) noexcept nogil
    cdef Py_ssize_t config_id(self) noexcept nogil
    cdef bint may_be_known(self) noexcept nogil
    cdef int ech_class(self, bint public, bint named) noexcept nogil
    cdef bint is_boringssl(self) noexcept nogil
    cdef bint is_ech_grease(self) noexcept nogil

cdef bint is_grease(long long number) noexcept nogil
