"""Names that netwatch reports and others do not, or the reverse, each verified in the packets.

By capture and kind: how many names it is about, and why. The names themselves stay in
the captures, some of which show devices of real people.
"""

from collections.abc import Mapping

Differences = Mapping[tuple[str, str], tuple[int, str]]

MDNS = (
    "Answers of multicast DNS that nobody asked for say what a device is called, not what it "
    "looked up; only queries are reported."
)
GLUE = (
    "Addresses of name servers in the additional section. Only records that lead from the name "
    "asked to its addresses count."
)
SSDP = (
    "SSDP: a search for devices of the own network, in datagrams like HTTP to a multicast "
    "address; no host is requested."
)
INVERSE = (
    "Inverse queries (RFC 1035 section 6.4, obsoleted by RFC 3425) ask with an address, here in "
    "brackets. Counted as the anomaly `dns-opcode-1`."
)
RDP = (
    "TLS and DTLS inside RDP's own transport over UDP, which is not read; the names are those of "
    "terminal servers."
)

MISSED: Differences = {
    ("ndpi__gnutella.pcap", "dns_a"): (2, MDNS),
    ("ndpi__telegram.pcap", "dns_a"): (2, MDNS),
    ("ndpi__whatsapp_login_call.pcap", "dns_a"): (2, MDNS),
}
"""Names that several tools see."""

LEFT: Differences = {
    ("ja4__chrome-cloudflare-quic-with-secrets.pcapng", "http_host"): (
        1,
        "HTTP/3, read with the secrets that the capture carries. netwatch decrypts nothing but "
        "QUIC's Initial packets, whose keys are public.",
    ),
    ("ja4__sshv1.pcap", "dns_a"): (16, GLUE),
    ("ja4__tls3.pcapng", "http_host"): (1, SSDP),
    ("ndpi__6in4tunnel.pcap", "dns_a"): (4, GLUE),
    ("ndpi__anyconnect-vpn.pcap", "dns_a"): (2, MDNS),
    ("ndpi__anyconnect-vpn.pcap", "http_host"): (1, SSDP),
    ("ndpi__dns_ambiguous_names.pcap", "dns_qry"): (
        1,
        "nDPI writes the label `*` as `_`. netwatch reports it as it was asked.",
    ),
    ("ndpi__fuzz-2006-09-29-28586.pcap", "http_host"): (
        1,
        "A fuzzed Host with a zero byte in it. netwatch reports it completely, the byte as "
        "`\\000`; others stop there, and nDPI's test data has the name from before the fuzzing.",
    ),
    ("ndpi__gnutella.pcap", "http_host"): (2, SSDP),
    ("ndpi__rdp2.pcap", "sni_dtls"): (1, RDP),
    ("ndpi__rdp2.pcap", "sni_other"): (1, RDP),
    ("ndpi__starcraft_battle.pcap", "http_host"): (1, SSDP),
    ("ndpi__telegram.pcap", "dns_a"): (2, MDNS),
    ("ndpi__telegram.pcap", "dns_qry"): (
        1,
        "nDPI takes the owner of a PTR record in an answer of multicast DNS for a question.",
    ),
    ("ndpi__telegram.pcap", "http_host"): (1, SSDP),
    ("ndpi__whatsapp_login_call.pcap", "dns_a"): (2, MDNS),
    ("ndpi__zoom.pcap", "http_host"): (1, SSDP),
    ("suricata-verify__base64-decode-5885.pcap", "http_host"): (2, SSDP),
    ("suricata-verify__decode-teredo-01.pcap", "dns_a"): (7, GLUE),
    ("suricata-verify__smb2-ntlmssp-negotiateflags.pcap", "http_host"): (1, SSDP),
    ("zeek__dns-edns-ecs.pcap", "dns_a"): (99, GLUE),
    ("zeek__dns-inverse-query.pcap", "dns_a"): (1, INVERSE),
    ("zeek__dns-inverse-query.pcap", "dns_qry"): (1, INVERSE),
    ("zeek__ipv6-fragmented-dns.pcap", "dns_a"): (1, GLUE),
    ("zeek__wikipedia.pcap", "dns_a"): (5, MDNS),
    ("zeek__wikipedia.pcap", "dns_qry"): (
        1,
        "A NetBIOS name (RFC 1002), decoded by Zeek: a host of a workgroup, not a domain.",
    ),
}
"""Names that one tool claims, or that were decrypted, quoted or malformed."""

ALONE: Differences = {
    ("ndpi__ja3_lots_of_cipher_suites_2_anon.pcap", "tls-cert"): (
        1,
        "The common name of the server's certificate, packet 7. tshark reads it too, as a field "
        "of the certificate.",
    ),
}
"""Names that nobody else tells of."""
