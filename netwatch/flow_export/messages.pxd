cimport cython

from netwatch.flow_export.exporters cimport Exporter

@cython.final
cdef class Message:
    cdef readonly long long version
    cdef readonly long long domain
    cdef readonly long long sequence
    cdef readonly long long sent
    cdef long long started
    cdef Py_ssize_t at
    cdef Py_ssize_t end
    cdef long long now
    cdef public long long earliest

    cdef long long uptime(self)

@cython.final
cdef class FlowDecoder:
    cdef readonly object counts
    cdef readonly dict exporters
    cdef readonly long long unread
    cdef readonly long long impossible

    cdef Exporter exporter(self, Message message)
