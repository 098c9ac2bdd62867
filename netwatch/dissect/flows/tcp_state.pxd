cimport cython
from netwatch.dissect.flows.table cimport FlowTable
from netwatch.dissect.loop.cursor cimport Cursor

@cython.final
cdef class TcpState:
    cdef FlowTable flows
    cdef Cursor cursor
    cdef bint repeats

    cdef void set_state(self, Py_ssize_t slot, int side, long long state) noexcept nogil
    cdef bint syn(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef void syn_ack(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef void refuse(self, Py_ssize_t slot, int side) noexcept nogil
    cdef void expect_answer(self, Py_ssize_t slot, int side) noexcept nogil
    cdef void accept(self, Py_ssize_t slot, int side) noexcept nogil
    cdef void note_acked(self, Py_ssize_t slot, int side, long long acked) noexcept nogil
    cdef bint acknowledge(self, Py_ssize_t slot, int side, bint acknowledges) noexcept nogil
    cdef bint answer(self, Py_ssize_t slot, int side) noexcept nogil
    cdef void expect_datagram(self, Py_ssize_t slot, int side) noexcept nogil
    cdef void note_checksum(self, Py_ssize_t slot, int side) noexcept nogil
    cdef void verify(self, Py_ssize_t slot, int side) noexcept nogil
    cdef bint only_opened(self, Py_ssize_t slot, int side) noexcept nogil
    cdef bint is_first(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef bint may_be_first(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef bint begins(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef void ignore(self, Py_ssize_t slot, int side) noexcept nogil
    cdef bint complete(self, Py_ssize_t slot, int side, long long seq, long long size) noexcept nogil
    cdef bint is_again(self, Py_ssize_t slot, int side, long long seq, long long size) noexcept nogil
    cdef bint is_outside(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef void reopen(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef bint is_separate(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef void expect_datagrams(self, Py_ssize_t slot, int side) noexcept nogil
    cdef void expect(self, Py_ssize_t slot, int side, long long seq, long long size) noexcept nogil
    cdef int in_conversation(self, Py_ssize_t slot, int side, long long seq) noexcept nogil
    cdef bint is_expected(self, Py_ssize_t slot, int side, long long seq, long long size) noexcept nogil
