cimport cython
from netwatch.dissect.flows.table cimport FlowTable
from netwatch.dissect.loop.cursor cimport Cursor

@cython.final
cdef class Answers:
    cdef Cursor cursor
    cdef FlowTable flows

    cdef void segment(self, Py_ssize_t slot, int side, Py_ssize_t at) noexcept nogil
    cdef void datagram(self, Py_ssize_t slot, int side, Py_ssize_t at) noexcept nogil
    cdef void set_denial(self, Py_ssize_t slot, int side, long long denial) noexcept nogil
    cdef bint is_fatal_alert(self, Py_ssize_t at) noexcept nogil
    cdef bint is_response(self, Py_ssize_t at) noexcept nogil
    cdef long long denied_by_response(self, Py_ssize_t at) noexcept nogil
    cdef bint is_before_answer(self, Py_ssize_t at) noexcept nogil
