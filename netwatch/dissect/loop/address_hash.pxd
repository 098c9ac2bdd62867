from netwatch.dissect.loop.octets cimport Window

cdef class AddressHash(Window):
    cdef unsigned long long hashed(self, unsigned long long hash_, Py_ssize_t at, Py_ssize_t size) noexcept nogil
