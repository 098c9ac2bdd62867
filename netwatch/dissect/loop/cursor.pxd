cimport cython
from netwatch.dissect.loop cimport layout
from netwatch.dissect.loop.octets cimport Window

@cython.final
cdef class Cursor(Window):
    cdef long long[::1] anomalies
    cdef const unsigned char[::1] ether_types
    cdef const unsigned char[::1] ip_protocols
    cdef const unsigned char[::1] udp_tunnels
    cdef long long record
    cdef long long time
    cdef Py_ssize_t at
    cdef Py_ssize_t end
    cdef Py_ssize_t wire_end
    cdef int protocol
    cdef Py_ssize_t addresses
    cdef Py_ssize_t address_size
    cdef Py_ssize_t source_mac
    cdef Py_ssize_t destination_mac
    cdef long long vlan
    cdef int ip_headers
    cdef int other_headers
    cdef long long fragment
    cdef long long fragment_id
    cdef long long non_ip
    cdef Py_ssize_t subframe
    cdef Py_ssize_t frame_end
    cdef Py_ssize_t frame_wire_end
    cdef long long frame_vlan
    cdef long long[::1] saved

    @cython.boundscheck(True)
    cdef inline int fail(self, int anomaly) noexcept nogil:
        self.anomalies[anomaly] += 1
        return layout.LAYER_STOPPED

    cdef inline bint has(self, Py_ssize_t size) noexcept nogil:
        return self.end - self.at >= size

    cdef inline void start_frame(self) noexcept nogil:
        self.ip_headers = 0
        self.other_headers = 0
        self.fragment = -1
        self.non_ip = -1

    cdef bint deeper_ip(self) noexcept nogil
    cdef bint deeper(self) noexcept nogil
    cdef void save(self) noexcept nogil
    cdef void restore(self) noexcept nogil
