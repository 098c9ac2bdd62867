from netwatch.core.message cimport DnsInfo, QuicInfo, TlsInfo

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
