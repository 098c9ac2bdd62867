cdef class ShownName:
    cdef readonly str evidence
    cdef readonly str name
    cdef readonly bint client_is_destination
    cdef readonly str raw
    cdef readonly str asked

cdef class DnsInfo:
    cdef readonly str type
    cdef readonly str rcode
    cdef readonly tuple answers
    cdef readonly tuple chain
    cdef readonly tuple ech_public_names
    cdef readonly tuple service_targets
    cdef readonly tuple ech_configs

cdef class TlsInfo:
    cdef readonly str version
    cdef readonly tuple alpn
    cdef readonly str ech
    cdef readonly object compute_ja4
    cdef readonly object ech_config_id

cdef class QuicInfo:
    cdef readonly str version

cdef class Message:
    cdef readonly tuple names
    cdef readonly Py_ssize_t size
    cdef readonly DnsInfo dns
    cdef readonly TlsInfo tls
    cdef readonly QuicInfo quic
    cdef readonly tuple anomalies
    cdef readonly tuple claims
