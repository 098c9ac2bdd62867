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


cdef class Packet:
    cdef readonly str source
    cdef readonly long long number
    cdef readonly long long time
    cdef readonly long time_digits
    cdef readonly str transport
    cdef readonly bytes src
    cdef readonly long sport
    cdef readonly bytes dst
    cdef readonly long dport
    cdef readonly bytes src_mac
    cdef readonly bytes dst_mac
    cdef readonly object vlan
    cdef readonly long long flow_id
    cdef readonly tuple frames
    cdef readonly long long mark


cdef class Observation:
    cdef readonly long long time
    cdef readonly long time_digits
    cdef readonly str evidence
    cdef readonly str name
    cdef readonly bytes client_ip
    cdef readonly long client_port
    cdef readonly bytes client_mac
    cdef readonly bytes server_ip
    cdef readonly long server_port
    cdef readonly str transport
    cdef readonly object vlan
    cdef readonly str source
    cdef readonly long long packet
    cdef readonly long long flow_id
    cdef readonly DnsInfo dns
    cdef readonly TlsInfo tls
    cdef readonly QuicInfo quic
    cdef readonly str raw
    cdef readonly str asked
    cdef readonly str client_host
    cdef readonly object log
    cdef readonly tuple frames
    cdef readonly long long mark
