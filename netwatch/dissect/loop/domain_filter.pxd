cimport cython
from netwatch.dissect.loop.octets cimport Window

@cython.final
cdef class DomainSet:
    cdef readonly bint active
    cdef long long[::1] hashes
    cdef unsigned long long mask

    cdef bint contains(self, unsigned long long domain) noexcept nogil

@cython.final
cdef class DomainFilter(Window):
    cdef DomainSet domains
    cdef Py_ssize_t name_end
    cdef unsigned long long hash
    cdef Py_ssize_t length
    cdef Py_ssize_t labels
    cdef unsigned long long[::1] powers
    cdef unsigned long long[::1] label_hashes

    cdef bint not_matched(self) noexcept nogil
    cdef void start_name(self) noexcept nogil
    cdef bint hash_name(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint hash_label(self, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef bint hash_labels(self, Py_ssize_t start, Py_ssize_t at, Py_ssize_t end) noexcept nogil

cdef unsigned long long label_hash(unsigned long long hash_, unsigned long long word) noexcept nogil
cdef unsigned long long domain_hash(bytes domain) except 0
