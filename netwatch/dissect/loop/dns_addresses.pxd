cimport cython
from netwatch.dissect.loop.octets cimport AddressHash
from netwatch.dissect.loop.cursor cimport Cursor
from netwatch.dissect.loop.prefilter_dns cimport DnsPrefilter

@cython.final
cdef class DnsAddresses:
    cdef long long[::1] answers
    cdef long long[::1] names
    cdef unsigned long long salt
    cdef readonly AddressHash packets
    cdef AddressHash pair
    cdef readonly long long evicted

    cdef void remember_message(self, DnsPrefilter message, Cursor cursor) noexcept nogil
    cdef void enter(self, long long[::1] table, unsigned long long hash_, long long now, long long until) noexcept nogil
    cdef unsigned long long hash_of(self, bytes client, bytes address)
    cdef unsigned long long hash_of_name(self, bytes client, str name)

cdef unsigned long long of_name(unsigned long long client, unsigned long long name) noexcept nogil
