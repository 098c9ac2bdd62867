cimport cython
from netwatch.dissect.loop cimport layout
from netwatch.dissect.loop.octets cimport Window

@cython.final
cdef class Cursor(Window):
    cdef long long[::1] anomalies
    cdef long long[::1] failed
    cdef long long failures
    cdef const unsigned char[::1] ether_types
    cdef const unsigned char[::1] link_types
    cdef const unsigned char[::1] ip_protocols
    cdef const unsigned char[::1] gre_protocols
    cdef const unsigned char[::1] udp_tunnels
    cdef long long record
    cdef long long time
    cdef Py_ssize_t at
    cdef Py_ssize_t end
    cdef Py_ssize_t wire_end
    cdef long long ether_type
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
    cdef long long[::1] unknown_ether_types
    cdef int frame_ip_headers
    cdef int frame_other_headers
    cdef int checksum
    cdef long long[::1] saved

    @cython.boundscheck(True)
    cdef inline int fail(self, int anomaly) noexcept nogil:
        self.anomalies[anomaly] += 1
        self.failed[self.failures & (layout.FAILURES - 1)] = anomaly
        self.failures += 1
        return layout.LAYER_STOPPED

    cdef inline bint has(self, Py_ssize_t size) noexcept nogil:
        return self.end - self.at >= size

    cdef inline void start_packet(
        self, long long record, long long time, Py_ssize_t at, Py_ssize_t size, long long wire,
        long long vlan) noexcept nogil:
        self.record = record
        self.time = time
        self.at = at
        self.end = at + size
        self.wire_end = at + max(size, wire)
        self.vlan = vlan & 0xFFF if vlan >= 0 else -1
        self.source_mac = -1
        self.destination_mac = -1
        self.subframe = 0
        self.start_frame()

    cdef inline void start_frame(self) noexcept nogil:
        self.ip_headers = 0
        self.other_headers = 0
        self.fragment = -1
        self.non_ip = -1

    cdef inline bint deeper_ip(self) noexcept nogil:
        self.ip_headers += 1
        if self.ip_headers > layout.MAX_IP_HEADERS:
            self.fail(layout.ANOMALY_WRAPPED_TOO_DEEP)
            return False
        return True

    cdef void forget_failures(self, long long since) noexcept nogil
    cdef bint deeper(self) noexcept nogil
    cdef int cut_short(self) noexcept nogil
    cdef bint fills(self) noexcept nogil
    cdef void save(self) noexcept nogil
    cdef void restore(self) noexcept nogil
