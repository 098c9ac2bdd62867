cimport cython

from netwatch.flow_export.records cimport FlowRecord

@cython.final
@cython.freelist(1024)
cdef class Entry:
    cdef readonly unsigned long long hash
    cdef readonly bytes source
    cdef readonly bytes destination
    cdef readonly long long ports
    cdef FlowRecord record
    cdef long long number
    cdef long long ended
    cdef Py_ssize_t at

@cython.final
cdef class PairTable:
    cdef readonly Py_ssize_t count
    cdef Py_ssize_t begin
    cdef list line
    cdef long long[::1] slots
    cdef Py_ssize_t mask

    cpdef Entry get(
        self, unsigned long long hash_, bytes source, bytes destination, long long ports
    )
    cpdef void put(self, Entry entry)
    cpdef void drop(self, Entry entry)
    cpdef Entry oldest(self)
    cdef void enter(self, Entry entry, Py_ssize_t place)
    cdef void close_up(self)

cpdef Entry entry_of(
    unsigned long long hash_, bytes source, bytes destination, long long ports
)
cpdef unsigned long long pair_hash(FlowRecord record)
cdef unsigned long long side_hash(bytes address, unsigned long long port)
cdef unsigned long long mixed(unsigned long long value) noexcept nogil
