cimport cython
from netwatch.dissect.flows.tcp_state cimport TcpState
from netwatch.dissect.loop.cursor cimport Cursor
from netwatch.dissect.loop.hello_reassembly cimport HelloReassembly

@cython.final
cdef class TlsHellos:
    cdef Cursor cursor
    cdef TcpState tcp
    cdef HelloReassembly hellos

    cdef bint segment(self, Py_ssize_t slot, long long kind, Py_ssize_t at, long long sequence) noexcept nogil
    cdef bint add(self, Py_ssize_t slot, long long kind, Py_ssize_t at, long long sequence) noexcept nogil
    cdef bint start(self, Py_ssize_t slot, long long kind, long long sequence) noexcept nogil
