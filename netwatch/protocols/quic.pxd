from netwatch.protocols.quic_frames cimport CryptoStream
from netwatch.protocols.quic_packet cimport Initial

cdef class _Attempt:
    cdef object version
    cdef object decryptor
    cdef CryptoStream stream
    cdef CryptoStream other
    cdef bytes base
    cdef bint is_read

cdef class ClientHandshake:
    cdef object _is_uninteresting
    cdef list _attempts
    cdef Py_ssize_t _failures
    cdef bint _done
    cdef bint _closed
    cdef bint _unread
    cdef list _hellos
    cdef dict _anomalies
