cimport cython

from netwatch.flow_export.records cimport FlowRecord

@cython.final
cdef class Layout:
    cdef readonly tuple fields
    cdef readonly str clock
    cdef readonly Py_ssize_t size
    cdef readonly bint has_addresses
    cdef readonly bint is_biflow
    cdef bint is_fixed
    cdef int unit
    cdef Py_ssize_t count
    cdef long long[::1] lengths
    cdef long long[::1] places
    cdef long long[::1] starts
    cdef long long[::1] sizes
    cdef bytes data
    cdef const unsigned char[::1] octets
    cdef long long first
    cdef long long last
    cdef long long earliest
    cdef long long latest

    cpdef Py_ssize_t flows(
        self,
        bytes data,
        Py_ssize_t at,
        Py_ssize_t end,
        long long sent,
        long long started,
        long long earliest,
        long long latest,
        object exporter,
        object found,
    )
    cdef Py_ssize_t next_of(self, Py_ssize_t at, Py_ssize_t end)
    cdef Py_ssize_t divide(self, Py_ssize_t at, Py_ssize_t end)
    cdef unsigned long long number(self, Py_ssize_t base, Py_ssize_t place)
    cdef bytes text(self, Py_ssize_t base, Py_ssize_t place)
    cdef object values(self, Py_ssize_t base)
    cdef object value(self, Py_ssize_t base, Py_ssize_t place)
    cdef bint find_times(self, Py_ssize_t base, long long sent, long long started)
    cdef long long time(self, unsigned long long value, long long sent, long long started)
    cdef long long interval(self, Py_ssize_t base, object exporter)
    cdef int small(self, Py_ssize_t base, Py_ssize_t place)
    cdef long long count_at(self, Py_ssize_t base, Py_ssize_t place)
    cdef void fill(self, FlowRecord record, Py_ssize_t base)
