cimport cython
from netwatch.dissect.loop.prefilter_http cimport Requests

cdef class Headers(Requests):
    cdef long long[::1] odd
    cdef Py_ssize_t at
    cdef Py_ssize_t end
    cdef Py_ssize_t wire_end
    cdef int proto
    cdef Py_ssize_t addr
    cdef Py_ssize_t addr_len
    cdef Py_ssize_t src_mac
    cdef Py_ssize_t dst_mac
    cdef long long vlan
    cdef int depth
    cdef int layers
    cdef long long fragment
    cdef long long fragment_id
    cdef Py_ssize_t subframes
    cdef Py_ssize_t frame_end
    cdef Py_ssize_t frame_wire_end
    cdef long long frame_vlan

    cdef int fail(self, int anomaly) noexcept nogil

    @cython.final
    cdef inline bint has(self, Py_ssize_t size) noexcept nogil:
        return self.end - self.at >= size

    cdef bint deeper(self) noexcept nogil
    cdef int link(self, long long link_type) noexcept nogil
    cdef int ether_type(self, long long kind) noexcept nogil
    cdef int llc(self) noexcept nogil
    cdef int raw(self) noexcept nogil
    cdef int ethernet(self) noexcept nogil
    cdef int other_link(self, long long link_type) noexcept nogil
    cdef int other_type(self, long long kind) noexcept nogil
    cdef int inner(self) noexcept nogil
    cdef int beside(self, long long kind) noexcept nogil
    cdef int ipv4(self) noexcept nogil
    cdef int ipv6(self) noexcept nogil
