cimport cython
from netwatch.dissect.loop.octets cimport AddressHash
from netwatch.dissect.loop.cursor cimport Cursor
from netwatch.dissect.loop.prefilter_dns cimport DnsPrefilter

@cython.final
cdef class DnsAddresses:
    cdef long long[::1] tables
    cdef unsigned long long salt
    cdef readonly AddressHash packets
    cdef AddressHash pair
    cdef long long[::1] waiting
    cdef Py_ssize_t came
    cdef Py_ssize_t entered
    cdef long long replaced

    cdef void expect(self, bint is_name, unsigned long long hash_, long long now, long long until) noexcept nogil
    cdef void enter_oldest(self) noexcept nogil
    cdef void enter_all(self) noexcept nogil
    cdef void remember_message(self, DnsPrefilter message, Cursor cursor) noexcept nogil
    cdef void enter(self, bint is_name, unsigned long long hash_, long long now, long long until) noexcept nogil
    cdef bint is_in_use(self, bint is_name, unsigned long long hash_, long long time) noexcept nogil
    cdef unsigned long long hash_of(self, bytes client, bytes address)
    cdef unsigned long long hash_of_name(self, bytes client, str name)

cdef Py_ssize_t place_of(bint is_name, unsigned long long hash_) noexcept nogil
cdef unsigned long long of_name(unsigned long long client, unsigned long long name) noexcept nogil
