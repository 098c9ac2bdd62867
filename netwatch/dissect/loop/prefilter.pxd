cimport cython
from netwatch.dissect.loop.client_hello cimport ClientHello
from netwatch.dissect.loop.domain_filter cimport DomainFilter, DomainSet
from netwatch.dissect.loop.octets cimport Window
from netwatch.dissect.loop.preface_masks cimport PrefaceMasks
from netwatch.dissect.loop.prefilter_dns cimport DnsPrefilter
from netwatch.dissect.loop.protocol_masks cimport ProtocolMasks


@cython.final
cdef class HelloPrefilter(Window):
    cdef DomainFilter domains
    cdef long long[::1] counts
    cdef ClientHello hello

    cdef bint read_record(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint name_uninteresting(self) noexcept nogil


@cython.final
cdef class Prefilter:
    cdef readonly DomainSet domains
    cdef readonly ProtocolMasks masks
    cdef readonly PrefaceMasks prefaces
    cdef readonly DnsPrefilter dns
    cdef readonly HelloPrefilter hellos
    cdef readonly HelloPrefilter messages
    cdef readonly object counts
    cdef readonly object given
