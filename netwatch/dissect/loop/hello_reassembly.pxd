cimport cython
from netwatch.dissect.flows.table cimport FlowTable
from netwatch.dissect.loop.candidates cimport Candidates
from netwatch.dissect.loop.cursor cimport Cursor
from netwatch.dissect.loop.fill_hello cimport HelloRows
from netwatch.dissect.loop.kept_messages cimport HelloBuffer
from netwatch.dissect.loop.kept_messages cimport KeptMessages
from netwatch.dissect.loop.prefilter cimport HelloPrefilter

@cython.final
cdef class HelloReassembly:
    cdef Cursor cursor
    cdef FlowTable flows
    cdef Candidates candidates
    cdef HelloPrefilter prefilter
    cdef HelloRows rows
    cdef readonly HelloBuffer buffer
    cdef readonly KeptMessages kept
    cdef public bint buffering
    cdef long long first_packet
    cdef long long interfaces
    cdef const long long[::1] records

    cdef Py_ssize_t entry(self, Py_ssize_t slot, long long flow) noexcept nogil
    cdef Py_ssize_t buffered_entry(self, Py_ssize_t slot, long long flow) noexcept nogil
    cdef bint is_aged(self, Py_ssize_t entry) noexcept nogil
    cdef bint are_read(self, Py_ssize_t slot) noexcept nogil
    cdef bint is_handled_by_parser(self, Py_ssize_t slot) noexcept nogil
    cdef bint is_untouched(self, Py_ssize_t slot) noexcept nogil
    cdef void hand_to_parser(self, Py_ssize_t slot, long long flow) noexcept nogil
    cdef void release_flow(self, Py_ssize_t slot) noexcept nogil
    cdef void release(self, Py_ssize_t entry) noexcept nogil
    cdef void catch_up(self, long long flow) noexcept nogil
    cdef long long oldest_time(self) noexcept nogil
    cdef void release_before(self, long long before) noexcept nogil
    cdef bint store(self, Py_ssize_t slot, Py_ssize_t entry, long long kind, Py_ssize_t at, long long sequence) noexcept nogil
    cdef bint store_packet(self, Py_ssize_t entry, long long kind, Py_ssize_t at, long long sequence, long long flow) noexcept nogil
    cdef int told_without_parser(self, Py_ssize_t slot, Py_ssize_t at, Py_ssize_t end, Py_ssize_t quic) noexcept nogil
    cdef void keep(self, Py_ssize_t slot, long long sequence, const unsigned char[::1] data, Py_ssize_t at, long long size) noexcept nogil
    cdef int compare(self, Py_ssize_t slot, long long sequence, Py_ssize_t at, long long size) noexcept nogil
    cdef bint is_another_name(self, Py_ssize_t slot, Py_ssize_t at, Py_ssize_t size) noexcept nogil
    cdef bint shows_another_name(self, Py_ssize_t slot) noexcept nogil
    cdef void count_packets(self, Py_ssize_t entry) noexcept nogil
    cdef void complete(self, Py_ssize_t slot, Py_ssize_t entry, int told) noexcept nogil
    cdef long long number(self, Py_ssize_t at, Py_ssize_t size) noexcept nogil
