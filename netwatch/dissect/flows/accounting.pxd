cimport cython
from netwatch.coverage.flow_visibility cimport FlowVisibility
from netwatch.dissect.flows.address_tables cimport AddressCategories, AddressFilter, AddressRanges
from netwatch.dissect.flows.flow_counts cimport FlowCounts

@cython.final
cdef class FlowAccounting:
    cdef object division
    cdef int worker
    cdef FlowVisibility visibility
    cdef readonly AddressFilter resolved
    cdef readonly AddressFilter learned
    cdef readonly long long named_batch
    cdef readonly FlowCounts named
    cdef readonly FlowCounts others
    cdef AddressRanges ranges
    cdef AddressCategories categories
    cdef AddressFilter changing
    cdef bint report_all
    cdef bint counting
    cdef bint by_device
    cdef long long[::1] words

    cdef bint is_merely_named(self, Py_ssize_t at, long long low, long long high, long long status) noexcept nogil
    cdef int client_side(self, Py_ssize_t at) noexcept nogil
    cdef bint was_resolved(self, Py_ssize_t at, long long status) noexcept nogil
    cdef unsigned long long mix(self, unsigned long long hash_, Py_ssize_t at, int side) noexcept nogil
    cdef void count(self, Py_ssize_t at, long long status) noexcept nogil
    cdef long long category(self, Py_ssize_t at, int side) noexcept nogil
    cdef void count_client(self, FlowCounts counts, Py_ssize_t at, int side, long long visibility, bint is_reversed) noexcept nogil
    cdef bint may_change(self, Py_ssize_t at, int side) noexcept nogil
