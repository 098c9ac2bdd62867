cimport cython
from netwatch.core.buffers cimport word_of


cdef extern from *:
    """
    #if defined(__GNUC__)
    #define netwatch_prefetch(p) __builtin_prefetch(p)
    #else
    #define netwatch_prefetch(p) ((void)(p))
    #endif
    """
    void netwatch_prefetch(const void *p) nogil

cdef class Window:
    cdef const unsigned char[::1] data

    # Both ends of a read are compared with those of the window, once. The branch that is taken
    # outside it is in octets.py, so that it is not part of every caller.

    @cython.final
    @cython.boundscheck(False)
    cdef inline long long u16(self, Py_ssize_t at) noexcept nogil:
        cdef const unsigned char *here
        if at < 0 or at > self.data.shape[0] - 2:
            return self.outside(at, 2)
        here = &self.data[at]
        return (here[0] << 8) | here[1]

    @cython.final
    @cython.boundscheck(False)
    cdef inline long long u32(self, Py_ssize_t at) noexcept nogil:
        cdef const unsigned char *here
        if at < 0 or at > self.data.shape[0] - 4:
            return self.outside(at, 4)
        here = &self.data[at]
        return (<unsigned int>here[0] << 24) | (here[1] << 16) | (here[2] << 8) | here[3]

    @cython.final
    @cython.boundscheck(False)
    cdef inline unsigned long long word(self, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
        if at < 0 or at > self.data.shape[0] - 8:
            return self.edge_word(at, size)
        return word_of(&self.data[at], size)

    cdef long long outside(self, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef unsigned long long edge_word(self, Py_ssize_t at, Py_ssize_t size) noexcept nogil

cdef void fetch_ahead(const unsigned char[::1] data, Py_ssize_t at) noexcept nogil
cdef bint copy(const unsigned char[::1] data, Py_ssize_t at, Py_ssize_t size, unsigned char[::1] out, Py_ssize_t to) noexcept nogil


cdef class AddressHash(Window):
    cdef unsigned long long hashed(self, unsigned long long hash_, Py_ssize_t at, Py_ssize_t size) noexcept nogil
