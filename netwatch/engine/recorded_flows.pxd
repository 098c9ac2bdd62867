cimport cython

from netwatch.coverage.flow_visibility cimport FlowVisibility
from netwatch.flow_export.conversations cimport Conversation

@cython.final
cdef class RecordedFlowCounter:
    cdef object counter
    cdef object directory
    cdef dict categories
    cdef dict rows
    cdef long long[::1] counts
    cdef FlowVisibility rules

    cdef Py_ssize_t row(self, object client)
    cdef int visibility(self, Conversation each)
