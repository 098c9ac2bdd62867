from netwatch.dissect.quic.initial_packets cimport InitialPackets
from netwatch.protocols.crypto_stream cimport CryptoStream

cdef class _Attempt:
    cdef int keys
    cdef bytes connection
    cdef long long largest
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

    cdef _add(self, InitialPackets packets, _Attempt attempt, Py_ssize_t size)
    cdef _Attempt _open(self, InitialPackets packets, bytes datagram, Py_ssize_t start)
