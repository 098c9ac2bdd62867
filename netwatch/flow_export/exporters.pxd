cimport cython

from netwatch.flow_export.layouts cimport Layout

@cython.final
cdef class Template:
    cdef Layout layout
    cdef bint is_options
    cdef long long sent
    cdef long long changes
    cdef long long since
    cdef str unread

@cython.final
cdef class Exporter:
    cdef readonly object counts
    cdef readonly long long lost
    cdef public long long impossible
    cdef long long without_template
    cdef public object boot_time
    cdef dict samplers
    cdef dict templates
    cdef long long sequence
    cdef long long counted
    cdef long long late
    cdef long long late_counted
    cdef bint counts_itself
    cdef long long uptime
    cdef long long late_in_order
    cdef long long lost_before

    cdef long long unread(self)
    cdef Template template(self, long long number, long long now)
    cdef void note_change(self, Template known, Template made)
    cdef void follow(self, long long sequence, long long counted, long long uptime)
    cdef bint follows_late(self, long long sequence, long long counted)
