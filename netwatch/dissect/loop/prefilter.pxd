cimport cython
from netwatch.dissect.loop.domain_filter cimport DomainFilter, DomainSet
from netwatch.dissect.loop.preface_masks cimport PrefaceMasks
from netwatch.dissect.loop.prefilter_dns cimport DnsPrefilter
from netwatch.dissect.loop.prefilter_http cimport RequestPrefilter
from netwatch.dissect.loop.prefilter_tls cimport HelloPrefilter
from netwatch.dissect.loop.protocol_masks cimport ProtocolMasks

@cython.final
cdef class Prefilter:
    cdef readonly DomainSet domains
    cdef readonly ProtocolMasks masks
    cdef readonly PrefaceMasks prefaces
    cdef readonly DnsPrefilter dns
    cdef readonly HelloPrefilter hellos
    cdef readonly RequestPrefilter requests
    cdef readonly HelloPrefilter messages
    cdef readonly object counts
    cdef readonly object given
