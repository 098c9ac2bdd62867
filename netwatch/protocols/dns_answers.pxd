cdef class Answers:
    cdef list _addresses
    cdef dict _aliases
    cdef dict _targets
    cdef dict _ech
    cdef readonly str first_owner
    cdef readonly int first_type
    cdef readonly list anomalies

    cdef _add_address(self, str owner, object family, bytes packed, long long ttl)
    cdef _read_service_binding(self, str owner, bytes data, Py_ssize_t start, Py_ssize_t end, long long ttl)
