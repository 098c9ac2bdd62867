from netwatch.protocols.quic_packet cimport Initial

cdef class Decryptor:
    cdef object _aead
    cdef object _iv
    cdef object _mask
    cdef long long _largest

    cpdef bytes decrypt(self, bytes datagram, Initial packet)
