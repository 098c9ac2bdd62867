cimport cython
from netwatch.core.observation_batch cimport ObservationBatch


@cython.final
cdef class CommunityIds:
    cdef public bint native
    cdef long long[::1] flows
    cdef unsigned char[::1] ids
    cdef unsigned char[::1] alphabet
    cdef unsigned char[::1] message
    cdef unsigned int[::1] schedule
    cdef unsigned int[::1] digest

    cpdef void forget(self)
    cdef bint has_id(self, ObservationBatch batch, Py_ssize_t row)
    cdef Py_ssize_t write(self, ObservationBatch batch, Py_ssize_t row, unsigned char[::1] out, Py_ssize_t to)
    cdef Py_ssize_t _fill(self, ObservationBatch batch, long long client, long long server, long long client_port, long long server_port, long long protocol)
    cdef bint _is_behind(self, ObservationBatch batch, long long one, long long one_port, long long other, long long other_port)
    cdef Py_ssize_t _address(self, ObservationBatch batch, long long text, Py_ssize_t to)
    cdef void _hash(self, Py_ssize_t size)
    cdef void _encode(self, Py_ssize_t to)
