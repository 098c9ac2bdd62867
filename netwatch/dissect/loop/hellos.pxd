cimport cython
from netwatch.dissect.flows.tcp_state cimport TcpState
from netwatch.dissect.loop.cursor cimport Cursor
from netwatch.dissect.loop.hello_reassembly cimport HelloReassembly
from netwatch.dissect.quic.initial_packets cimport InitialPackets


@cython.final
cdef class QuicHellos:
    cdef Cursor cursor
    cdef TcpState state
    cdef HelloReassembly hellos
    cdef readonly InitialPackets packets
    cdef unsigned char[::1] connection_ids

    cdef bint datagram(self, Py_ssize_t slot, Py_ssize_t at) noexcept nogil
    cdef bint add(self, Py_ssize_t slot, Py_ssize_t entry, Py_ssize_t at) noexcept nogil
    cdef bint is_another(self, Py_ssize_t slot, Py_ssize_t at) noexcept nogil
    cdef bint same_keys(self, Py_ssize_t entry) noexcept nogil
    cdef bint add_frames(self, Py_ssize_t entry, Py_ssize_t size) noexcept nogil


@cython.final
cdef class TlsHellos:
    cdef Cursor cursor
    cdef TcpState tcp
    cdef HelloReassembly hellos

    cdef bint segment(self, Py_ssize_t slot, long long kind, Py_ssize_t at, long long sequence) noexcept nogil
    cdef bint add(self, Py_ssize_t slot, long long kind, Py_ssize_t at, long long sequence) noexcept nogil
    cdef bint start(self, Py_ssize_t slot, long long kind, long long sequence) noexcept nogil
