cimport cython
from netwatch.dissect.loop.octets cimport Window

@cython.final
cdef class HelloLayout(Window):
    cdef unsigned char[::1] given
    cdef long long[::1] types
    cdef Py_ssize_t extensions
    cdef long long version
    cdef Py_ssize_t stop
    cdef Py_ssize_t ciphers
    cdef Py_ssize_t ciphers_size
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
    cdef bint read(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint read_extensions(self, Py_ssize_t pos) noexcept nogil
    cdef bint read_extension(self, long long kind, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef bint is_boringssl(self) noexcept nogil
    cdef Py_ssize_t config_id(self) noexcept nogil
    cdef bint may_be_known(self) noexcept nogil
    cdef bint is_ech_grease(self) noexcept nogil

cdef bint is_grease(long long number) noexcept nogil
