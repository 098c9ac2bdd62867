from netwatch.dissect.loop.hello_buffer cimport Desk
from netwatch.dissect.flows.tcp_state cimport Flows
from netwatch.dissect.loop.dns_addresses cimport Lookups

cdef class Rows(Lookups):
    cdef public Flows flows
    cdef public Desk desk
    cdef long long[::1] out
    cdef long long count
    cdef long long record
    cdef long long first_number
    cdef long long[::1] records
    cdef long long listed
    cdef public bint holding
    cdef int side
    cdef bint opening
    cdef public long long candidates

    cdef void write(self, long long[::1] out, Py_ssize_t row, long long kind, Py_ssize_t at, long long seq, long long flow) noexcept nogil
    cdef void emit(self, long long kind, Py_ssize_t at, long long seq, long long flow) noexcept nogil
    cdef bint hold(self, Py_ssize_t entry, long long kind, Py_ssize_t at, long long seq, long long flow) noexcept nogil
    cdef void release(self, Py_ssize_t entry) noexcept nogil
    cdef void age(self, long long before) noexcept nogil
