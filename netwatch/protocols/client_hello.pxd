cdef class ClientHello:
    cdef readonly int legacy_version
    cdef readonly tuple cipher_suites
    cdef readonly tuple extension_types
    cdef readonly tuple server_names
    cdef readonly tuple alpn
    cdef readonly tuple supported_versions
    cdef readonly tuple signature_algorithms
    cdef readonly str ech
    cdef readonly bint truncated
    cdef readonly tuple anomalies
    cdef readonly tuple raw_names
    cdef readonly object ech_config_id

cdef class _Extensions:
    cdef bint truncated
    cdef list anomalies
    cdef list types
    cdef list server_names
    cdef list raw_names
    cdef tuple alpn
    cdef tuple supported_versions
    cdef tuple signature_algorithms
    cdef bytes ech

    cdef read(self, bytes data, Py_ssize_t pos, Py_ssize_t end)
    cdef read_body(self, int kind, bytes data)
    cdef read_server_name(self, bytes data)
