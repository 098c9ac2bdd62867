cimport cython

@cython.final
cdef class FlowVisibility:
    cdef const unsigned char[::1] ports

    cdef bint is_reversed(self, bint is_tcp, long long client_port, long long server_port, long long name_status) noexcept nogil
    cdef int by_name_and_port(self, bint is_tcp, long long server_port, long long payload, long long name_status) noexcept nogil
    cdef int by_address(self, long long category, long long server_port) noexcept nogil
    cdef int by_content(self, long long bytes_out, long long bytes_in, long long name_status, bint is_incomplete, bint start_seen) noexcept nogil
