cdef class ClientHello:
    cdef readonly int version
    cdef readonly tuple ciphers
    cdef readonly tuple extensions
    cdef readonly tuple server_names
    cdef readonly tuple alpn
    cdef readonly tuple versions
    cdef readonly tuple signatures
    cdef readonly str ech
    cdef readonly bint cut
    cdef readonly tuple anomalies

cdef class _Extensions:
    cdef bint cut
    cdef list anomalies
    cdef list types
    cdef list server_names
    cdef tuple alpn
    cdef tuple versions
    cdef tuple signatures
    cdef bytes ech

    cdef read(self, bytes data, Py_ssize_t pos, Py_ssize_t end)
    cdef open(self, int kind, bytes data)
    cdef server_name(self, bytes data)
