cimport cython

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define NETWATCH_PREFETCH(address) __builtin_prefetch((address), 1)
    #else
    #define NETWATCH_PREFETCH(address) ((void)(address))
    #endif
    """
    void prefetch "NETWATCH_PREFETCH"(const void *address) noexcept nogil

@cython.final
cdef class FlowTable:
    cdef long long[::1] table
    cdef long long[::1] index
    cdef long long[::1] ranks
    cdef unsigned char[::1] used
    cdef Py_ssize_t slots
    cdef long long mask
    cdef readonly long long total
    cdef readonly long long evicted
    cdef bint recording
    cdef bint is_new
    cdef object store
    cdef long long[::1] closed_words
    cdef Py_ssize_t capacity
    cdef readonly long long closed
    cdef readonly long long held

    cdef Py_ssize_t find(self, long long key, long long now) noexcept nogil
    cdef void prefetch_set(self, long long key) noexcept nogil
    cdef void prefetch_slot(self, long long key) noexcept nogil
    cdef Py_ssize_t seek(self, long long key) noexcept nogil
    cdef Py_ssize_t seek_free(self, long long key) noexcept nogil
    cdef Py_ssize_t least_recent(self, long long key) noexcept nogil
    cdef void rank(self, Py_ssize_t slot) noexcept nogil
    cdef void set_client(self, Py_ssize_t slot, int side, bint started) noexcept nogil
    cdef void clear(self, Py_ssize_t slot) noexcept nogil
    cdef void close(self, Py_ssize_t slot) noexcept nogil
    cdef void raise_name_status(self, Py_ssize_t slot, long long name_status) noexcept nogil
    cdef void report_hello(self, Py_ssize_t slot, int side, long long begun) noexcept nogil
    cdef bint hello_reported(self, Py_ssize_t slot, int side) noexcept nogil
    cdef void report_stream_hello(self, Py_ssize_t slot, int side, long long sequence, long long size) noexcept nogil
    cdef bint repeats_hello(self, Py_ssize_t slot, int side, long long sequence) noexcept nogil
    cdef void hand_to_parser(self, long long flow) noexcept nogil
    cdef void contest(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef void set_entry(self, Py_ssize_t slot, long long entry) noexcept nogil
    cdef void keep(self, Py_ssize_t slot, long long number) noexcept nogil
    cdef long long kept(self, Py_ssize_t slot) noexcept nogil
    cdef void add_bytes(self, Py_ssize_t slot, int side, long long size) noexcept nogil
    cdef long long name(self, Py_ssize_t slot) noexcept nogil
