cimport cython
from netwatch.core.message cimport Observation
from netwatch.core.observation_batch cimport ObservationBatch

@cython.final
cdef class Group:
    cdef object contact
    cdef str reason
    cdef object binding
    cdef str shared
    cdef str earlier
    cdef bint is_handshake
    cdef Py_ssize_t count
    cdef long long first
    cdef long long last
    cdef long long packet
    cdef long long since
    cdef long long until
    cdef dict ports
    cdef set flows

    cdef object contacts(self)

@cython.final
cdef class ContactGroups:
    cdef object _judge
    cdef object _collector
    cdef object _without_verdict
    cdef object _contact_flows
    cdef dict _groups
    cdef object _names
    cdef readonly Py_ssize_t names_evicted
    cdef list _made
    cdef dict _matches
    cdef long long _batch_number
    cdef readonly long long shared_names
    cdef long long[::1] _key
    cdef object _key_octets

    cdef object _note_sender(self, Group group)
    cdef object _add(self, ObservationBatch batch, Py_ssize_t row, object match)
    cdef object _count(self, ObservationBatch batch, Py_ssize_t at, Group group)
    cdef str _shared(self, ObservationBatch batch, Py_ssize_t at, long long time)
    cdef str _earlier(self, ObservationBatch batch, Py_ssize_t at)
    cdef Group _judged(
        self, Observation observation, object match, object binding, str shared, str earlier=*
    )
    cdef Group _late_group(self, Observation observation)
    cdef Py_ssize_t _fill_key(self, ObservationBatch batch, Py_ssize_t row)
