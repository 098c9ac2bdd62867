from netwatch.dissect.loop.octets cimport Window

cdef class EchConfigs(Window):
    cdef Py_ssize_t config
    cdef Py_ssize_t config_end
    cdef Py_ssize_t public_at
    cdef Py_ssize_t public_size

    cdef bint begin_configs(self, Py_ssize_t pos, Py_ssize_t end) noexcept nogil
    cdef bint next_config(self) noexcept nogil
    cdef bint are_read(self) noexcept nogil
