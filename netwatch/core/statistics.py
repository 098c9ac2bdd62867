"""The counts of a run, for the summary at its end, and what each anomaly among them means.

An anomaly is input that breaks its specification, or a full table. It has a name, is counted under
it and never stops a run. The code that finds an anomaly uses its name as a literal
(``ParseError("dns-cut")``); `ANOMALIES` has the sentence of each name for the documentation. A test
compares the literals with this mapping, in both directions.

The names are part of the summary, of metrics and of coverage records, so they never change.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

ANOMALIES: Mapping[str, str] = {
    "address-claimed-twice": "Two MACs claimed the address of a contact at the time: it gives at"
    " most `probable`.",
    "amsdu-bad": "A frame inside a WLAN aggregate (A-MSDU) does not fit into the aggregate.",
    "arp-cut": "An ARP packet is truncated.",
    "arp-operation": "An ARP packet has an operation other than request and reply.",
    "arp-type": "An ARP packet is not for IPv4 over Ethernet.",
    "capture-dropped": "According to the pcapng file, the interface or the system dropped a"
    " packet.",
    "clients-unproven": "A contact of an unproven client that is not in the inventory: there were"
    " too many of them in an hour, so they share one incident.",
    "contact-flows-full": "The table of flows that contact apps was full: bytes are missing from an"
    " incident.",
    "contact-sightings-full": "A flow showed too many names of apps: for further ones it is unknown"
    " whether the server took part.",
    "device-address-shared": "Two devices had the address of a contact at the same time: the device"
    " is unknown.",
    "device-behind-nat": "Several devices are behind the address of a contact, by their TLS stacks:"
    " the device is unknown.",
    "device-claim-refused": "A message claims an address that is no host's, with another MAC than"
    " the frame's, or for another host.",
    "device-is-proxy": "A contact comes from a proxy that others ask for hosts of apps: the device"
    " is unknown.",
    "device-mac-shared": "Two devices had the MAC of a contact at the same time: the device is"
    " unknown.",
    "devices-full": "A learned address, device or pending request was evicted because its table"
    " was full.",
    "dhcp-cookie": "A BOOTP message has no DHCP options.",
    "dhcp-cut": "A DHCP message is truncated, or its options exceed it; the options before that"
    " point are used.",
    "dhcp-hardware": "A DHCP client has no Ethernet address.",
    "dhcp-many-options": "A DHCP message has more than 256 options; the rest is not read.",
    "dhcp-name": "A host name in a DHCP message is malformed or too long.",
    "dhcp-option": "A DHCP option has an impossible length; it is ignored.",
    "dhcp-type": "A DHCP message has no message type, or one that does not fit its direction.",
    "dhcpv6-cut": "A DHCPv6 message is truncated, or its options exceed it; the options before"
    " that point are used.",
    "dhcpv6-many-options": "A DHCPv6 message has more than 256 options; the rest is not read.",
    "dhcpv6-name": "A host name in a DHCPv6 message is malformed or too long.",
    "dhcpv6-no-client": "A DHCPv6 request or reply has no client DUID.",
    "dhcpv6-option": "A DHCPv6 option is malformed; it is ignored.",
    "dhcpv6-relays": "A DHCPv6 message passed more than eight relays, or a relay message contains"
    " no message.",
    "dhcpv6-type": "A DHCPv6 message has an unknown type.",
    "dns-cut": "A DNS message ends inside its header, a name or a record.",
    "dns-label-loop": "A DNS compression pointer does not point backwards.",
    "dns-label-type": "A DNS label has a type that is no longer in use (RFC 6891).",
    "dns-many-ech-configs": "A DNS message has more than 64 ECH configurations; the rest is not"
    " read.",
    "dns-many-questions": "A DNS message has more than 64 questions; the rest is not read.",
    "dns-many-records": "A DNS message has more than 512 answer records; the rest is not read.",
    "dns-name-length": "A DNS name is longer than 255 bytes.",
    "dns-opcode-N": "A DNS message has opcode N (a zone update, for example); it is not a lookup.",
    "dns-rdata-length": "The data of a DNS record do not fit its type.",
    "dns-svcb": "The parameters of an SVCB or HTTPS record exceed the record.",
    "dns-tcp-length": "The length before a DNS message over TCP is too small for a DNS header.",
    "dns-truncated": "A DNS response has the TC bit: the client asks again over TCP.",
    "dtls-fragment-limit": "The handshake fragments of a DTLS client exceed 64 KiB, or too many of"
    " them are buffered.",
    "dtls-fragment-overlap": "DTLS handshake bytes were sent twice with different content; the"
    " first are used.",
    "dtls-handshake": "A DTLS handshake header does not fit into its record.",
    "dtls-no-hello": "A DTLS datagram contains no ClientHello.",
    "dtls-record": "A DTLS record has an invalid header or length.",
    "dtls-record-cut": "A DTLS record exceeds its datagram.",
    "ech-candidates-full": "An ECH configuration of a device was evicted, with its names or their"
    " addresses, because the table was full.",
    "ech-candidates-many": "A hello with ECH has no candidates, because its device was given the"
    " key for too many names.",
    "ech-keys-full": "An ECH configuration of a device was evicted because the table was full:"
    " outer hellos may be mistaken for GREASE.",
    "ech-maybe-grease": "A hello with ECH shows a public name that its device looked up, too: it"
    " may be GREASE, and is no contact.",
    "ech-name-shared": "A hello with ECH may be for a name that is not banned: it is at most"
    " `possible`.",
    "encrypted-ip": "The packet is IPsec ESP; its content cannot be read.",
    "encrypted-link": "The frame is encrypted by MACsec; its content cannot be read.",
    "encrypted-tunnel": "The content of a tunnel is encrypted (CAPWAP over DTLS, LISP with a key)"
    " and cannot be read.",
    "flow-address-missing": "A flow record has no addresses, or two of different versions.",
    "flow-clock-wrong": "A message of an exporter was sent more than a minute before or after it"
    " arrived, by its clock: its flows have wrong times.",
    "flow-doubted": "A flow is from an exporter that has sent an impossible number or time within"
    " the hour before, or from such a log: a contact of it is at most possible.",
    "flow-exporter-restarted": "The sequence numbers or the uptime of an exporter of flows began"
    " again.",
    "flow-exporters-full": "An observation domain was forgotten, with its templates, because there"
    " were too many.",
    "flow-message-cut": "A message of NetFlow or IPFIX ends inside its header or its records.",
    "flow-message-late": "A message of NetFlow or IPFIX arrived after later ones.",
    "flow-names-full": "The name of a flow was evicted because the table was full: a second name in"
    " the flow is not noticed.",
    "flow-number-impossible": "A flow record has a counter or a port that cannot be, and is not"
    " read; or a VLAN or a sampling, of which nothing is known then.",
    "flow-of-record-bad": "A flow of a log record with several cannot be read; the others are.",
    "flow-record-cut": "A flow record exceeds its set.",
    "flow-records-full": "A flow record was used without the other direction, because too many"
    " were waiting.",
    "flow-records-lost": "Flow records (NetFlow v9: messages) are missing, judging by the sequence"
    " numbers.",
    "flow-sampled": "A flow record covers only sampled packets: others are in no record."
    " Its counters cover only the sample.",
    "flow-sampling-differs": "A flow record says another sampling than the configuration, which"
    " counts.",
    "flow-set-bad": "A set of NetFlow or IPFIX has an impossible length; the rest of the message is"
    " not read.",
    "flow-set-unknown": "A set of NetFlow or IPFIX has a number that is reserved.",
    "flow-table-full": "A flow with a packet in the last 60 s was evicted: its later packets count"
    " as another flow.",
    "flow-template-bad": "A template of flow records cannot be read, or its records have no bytes.",
    "flow-template-changed": "A template of flow records was redefined with other fields.",
    "flow-template-missing": "Flow records came before their template; they are not read.",
    "flow-template-old": "The template of flow records was not sent again for 30 minutes; they are"
    " not read.",
    "flow-template-unsteady": "A template of flow records was redefined and not sent again since,"
    " or more than once within 30 minutes; its records are not read.",
    "flow-templates-full": "A template of flow records was forgotten because an exporter has too"
    " many.",
    "flow-time-impossible": "A flow record, or its message, is of the future or before the year"
    " 2000, or a record ends before it begins; it is not read.",
    "flow-version": "A message is neither NetFlow v5 or v9 nor IPFIX.",
    "geo-record-damaged": "A record of a GeoIP database is damaged: the destination has no country"
    " or network operator.",
    "gquic-frame": "A frame of Google QUIC exceeds its packet.",
    "gquic-header": "A header of Google QUIC exceeds its datagram.",
    "gquic-hello-cut": "A CHLO is truncated; its name is reported if the name is complete.",
    "gquic-many-server-names": "A CHLO has several server names.",
    "gquic-no-handshake": "A packet of Google QUIC has no handshake bytes.",
    "gquic-not-a-client-hello": "Another handshake message was found where a CHLO was expected.",
    "gquic-stream-limit": "The handshake bytes of a Google QUIC client exceed 64 KiB, or too many"
    " pieces of them are buffered.",
    "gquic-stream-overlap": "Google QUIC handshake bytes were sent twice with different content;"
    " the first are used.",
    "gquic-tag-table": "The tag table of a CHLO is malformed.",
    "http-bare-lf": "The lines of a request head end in LF without CR.",
    "http-head-cut": "A request head is incomplete in the capture; its complete lines are read.",
    "http-head-limit": "A request head is longer than 64 KiB; its complete lines up to there are"
    " read.",
    "http-host-length": "A host in a request is longer than 255 bytes; it is ignored.",
    "http-many-hosts": "A request has several Host fields; all of them are reported.",
    "http-not-a-request": "A message looked like an HTTP request and is not one.",
    "http-obs-fold": "A header field is folded over several lines (RFC 9112 section 5.2).",
    "http-space-before-colon": "There is a space between the name of a header field and its colon.",
    "http-version": "The version in an HTTP request line is not one of HTTP/1.",
    "http2-block": "An HTTP/2 header block is too large.",
    "http2-continuation": "Another frame interrupts an HTTP/2 header block.",
    "http2-cut": "An HTTP/2 connection is cut off before its first request is complete.",
    "http2-frame-size": "An HTTP/2 frame is longer than the protocol allows.",
    "http2-frames": "An HTTP/2 connection sent 256 frames without a request.",
    "http2-hpack": "An HTTP/2 header block cannot be decompressed.",
    "http2-long": "The client of a cleartext HTTP/2 connection sent more bytes than are read; its"
    " later requests are not reported.",
    "http2-padding": "The padding of an HTTP/2 frame is longer than the frame.",
    "http2-preface": "A stream looked like the start of cleartext HTTP/2 and is not.",
    "http2-requests": "A cleartext HTTP/2 connection has more requests than are read.",
    "ip-fragment-overlap": "IP fragments overlap. If their bytes differ, the datagram is read"
    " with either.",
    "ip-fragment-repeated": "An IP fragment was received twice.",
    "ip-fragment-too-long": "An IP fragment ends beyond 64 KiB.",
    "ip-fragments-incomplete": "Fragments of an IP datagram or CAPWAP packet are missing; it is"
    " read as far as it is contiguous.",
    "ip-fragments-many": "An IP datagram or a CAPWAP packet has more than 128 fragments; the rest"
    " is ignored.",
    "ip-header-bad": "An IP header has the wrong version or length.",
    "ip-header-cut": "A packet ends inside its IP header.",
    "ip-length-bad": "The length field of an IP packet is smaller than its header.",
    "ipv6-extensions-many": "An IPv6 packet has more than 12 extension headers.",
    "ledger-altered": "A result in the ledger is not what its worker wrote, damaged or forged: its"
    " capture was judged again.",
    "ledger-unsigned": "A result in the ledger is not signed with the key of this user: its capture"
    " was judged again.",
    "link-header-cut": "A packet ends inside its link-layer header or VLAN tag.",
    "link-type-unknown": "The link type of a packet is not supported.",
    "log-flows-full": "The table of a log's flows was full: the end of the oldest is not found.",
    "log-nul-bytes": "A text log has a run of NUL bytes, as after a loss of power; it is skipped"
    " with the line that it cut.",
    "log-record-late": "A log record came too late to be put in order.",
    "mac-not-bound": "The frame of a contact has a MAC that is neither the device's nor a known"
    " router's: it gives at most `probable`.",
    "nd-cut": "A neighbour discovery message is truncated.",
    "nd-fragmented": "A neighbour discovery message came in fragments, which hosts ignore (RFC"
    " 6980); it is not read.",
    "nd-hop-limit": "A neighbour discovery message has a hop limit other than 255; it is not read.",
    "nd-many-options": "A neighbour discovery message has more than 64 options; the rest is not"
    " read.",
    "nd-option": "A neighbour discovery option has length 0 or exceeds its message.",
    "nd-type": "A neighbour discovery message has an unknown type or code.",
    "not-ip": "The frame contains ARP, LLDP or another known protocol that is not IP. Shown with"
    " `-v` only, as `no names in`.",
    "payload-cut": "The payload of a packet was not captured.",
    "proof-device-lost": "Packets that prove which device had an address could not be stored: an"
    " evidence capture may report another device.",
    "proof-first-packet-lost": "With `--evidence`: the first packet of a flow was evicted;"
    " `ip-from-dns` is reported without its packets.",
    "proof-trail-lost": "With `--evidence`: too many packets belong to incomplete messages; a"
    " message is reported without all of its packets.",
    "quic-crypto-limit": "The handshake bytes of a QUIC client exceed 64 KiB, or too many pieces"
    " of them are buffered.",
    "quic-crypto-overlap": "QUIC handshake bytes were sent twice with different content; the first"
    " are used.",
    "quic-frame": "A QUIC frame exceeds its packet.",
    "quic-frame-type": "A QUIC Initial contains a frame that no Initial may carry.",
    "quic-header": "A QUIC header or length field exceeds its datagram.",
    "quic-not-decrypted": "A QUIC Initial cannot be decrypted with the keys of this client; most"
    " often it comes from a server.",
    "quic-short": "A QUIC packet is too short to be protected.",
    "resolved-address-shared": "A flow without a name goes to an address that its device had"
    " resolved for several apps or names: no evidence.",
    "resolved-addresses-full": "A resolved address was evicted because the table was full.",
    "senders-full": "The table of senders was full: a router's MAC may not be recognised.",
    "sflow-agents-full": "An agent of sFlow was forgotten because there were too many.",
    "sflow-cut": "An sFlow datagram is shorter than it declares.",
    "sflow-datagrams-lost": "Datagrams of sFlow are missing, judging by their numbers.",
    "sflow-link-type-unknown": "A sampled packet has a link type that is not read.",
    "sflow-version": "A datagram is not of sFlow version 5.",
    "shared-clients-full": "Data that tells several devices behind an address apart was evicted"
    " because the table was full.",
    "socks-cut": "A SOCKS request is truncated.",
    "socks-request": "A message looked like a SOCKS request and is not one.",
    "tcp-gap": "Bytes are missing in a connection with several messages.",
    "tcp-header-bad": "The header length of a TCP segment is invalid.",
    "tcp-message-incomplete": "Segments of a message are missing.",
    "tcp-overlap": "Bytes of a hello or request were sent twice with different content; both are"
    " read.",
    "tcp-retransmission": "A hello or request head was retransmitted; it counts once.",
    "tcp-stray": "A hello or request came in a segment that no server accepts (without ACK, or"
    " outside the window). Its name is reported, but does not name the flow.",
    "tcp-stream-aged": "A message was still incomplete after 60 s.",
    "tcp-stream-too-long": "A message is longer than 128 KiB.",
    "tcp-streams-full": "An incomplete message was evicted because the stream table was full.",
    "tls-alpn": "The ALPN extension of a hello is malformed.",
    "tls-certificate": "A certificate cannot be parsed.",
    "tls-certificate-list": "The certificate list of a server is malformed.",
    "tls-certificate-names": "A certificate has more than 256 names; the rest is not reported.",
    "tls-ech": "An encrypted_client_hello extension is empty.",
    "tls-ech-inner": "A hello has an inner ECH extension, which must not appear on the wire.",
    "tls-empty-record": "Empty TLS records precede or interrupt a hello.",
    "tls-empty-records": "More than 32 empty TLS records in a row precede or interrupt a hello; the"
    " rest is not read.",
    "tls-extension-length": "The extensions of a hello are shorter or longer than their length"
    " field.",
    "tls-hello": "The fields of a hello exceed it.",
    "tls-hello-cut": "A hello is truncated; its name is reported if the name is complete.",
    "tls-hello-length": "A hello is longer than 64 KiB.",
    "tls-interleaved": "Another record interrupts the records of a hello.",
    "tls-many-server-names": "A hello has several server names; at most 8 are reported.",
    "tls-not-a-client-hello": "Another handshake message was found where a ClientHello was"
    " expected.",
    "tls-not-a-record": "Bytes that are not TLS were found where a record was expected.",
    "tls-not-a-server-hello": "Another handshake message was found where a ServerHello was"
    " expected.",
    "tls-record-length": "A TLS record is longer than the protocol allows.",
    "tls-repeated-extension": "A hello has the same extension twice.",
    "tls-server-cut": "The first flight of a server ends before its certificate is complete.",
    "tls-server-flight": "The first flight of a server is longer than 64 KiB.",
    "tls-server-hello": "The fields of a ServerHello exceed it.",
    "tls-server-name": "A server_name extension is malformed, is not of the type host_name or is"
    " too long.",
    "tls-signature-algorithms": "The signature_algorithms extension of a hello is malformed.",
    "tls-sslv2-hello": "A hello has the format of SSL 2.0, which has no server name.",
    "tls-supported-versions": "The supported_versions extension of a hello is malformed.",
    "tls-trailing-bytes": "Bytes follow the extensions of a hello.",
    "tls-warning-alert": "Warning alerts precede or interrupt a hello; they are skipped, as some"
    " servers skip them.",
    "transport-header-cut": "A packet ends inside its TCP or UDP header.",
    "transport-unknown": "The packet is ICMP, SCTP or another protocol, not TCP or UDP. Shown with"
    " `-v` only, as `no names in`.",
    "two-names": "A connection of an incident shows two names of servers: its contacts give at"
    " most `probable`.",
    "udp-length-bad": "The length field of a UDP datagram is smaller than its header.",
    "wlan-protected": "A WLAN frame is encrypted.",
    "wrapped-too-deep": "A packet has more than eight IP headers, sixteen other encapsulations, or"
    " eight levels of fragments.",
    "wrapping-header-cut": "A packet ends inside a tunnel header or label.",
    "wrapping-unknown": "The content of a tunnel is not supported, or the frame is a later"
    " fragment of a WLAN frame.",
    "wrapping-unknown-N": "The frame has the EtherType N (`wrapping-unknown-0x9999`), which is in"
    " no table: a tag or tunnel that is not known, or a protocol that is not IP. Of more than 32"
    " such EtherTypes those with the lowest numbers are named, the others are counted as"
    " `wrapping-unknown`.",
}
"""Names of anomalies, sorted, each with its description in Markdown. ``dns-opcode-N`` stands
for ``dns-opcode-`` with any number, and ``wrapping-unknown-N`` likewise."""

ETHER_TYPE_LIMIT = 32
"""EtherTypes of ``wrapping-unknown-N`` that are named in a report."""


class TableUsage(NamedTuple):
    """How full a table is: its entries, how many it can have, and how many were evicted or
    rejected because it was full."""

    entries: int
    limit: int
    evicted: int


@dataclass()
class RunStatistics:
    """The counts of one run, or of one worker's part of it.

    `wire_bytes` is the length of all packets on the wire, `candidates` counts packets that could
    carry a name. `observations` is by kind of evidence, `anomalies` by name, and `without_verdict`
    counts contacts that no ban applies to, by reason. `notes` are sentences about captures that
    were read only in part, `unread` about captures that could not be read at all, or not to their
    end because their storage failed. `damaged` are captures that are damaged or truncated, each
    with the bytes that were not read. `skipped` are files in folders that are not captures,
    `own_evidence` those that netwatch wrote as evidence. `recorded_rows` are the rows recorded for
    a store, `lost_rows` those that were not sent there; `unrecorded_packets` were not looked at for
    the store because a live capture was behind. For logs, `logs` are the files read by format,
    `records` the records in them, and `unread_records` the unreadable ones, by file and reason.
    """

    files: int = 0
    packets: int = 0
    wire_bytes: int = 0
    candidates: int = 0
    observations: Counter[str] = field(default_factory=Counter)
    anomalies: Counter[str] = field(default_factory=Counter)
    without_verdict: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    damaged: dict[str, int] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    own_evidence: list[str] = field(default_factory=list)
    recorded_rows: int = 0
    lost_rows: int = 0
    unrecorded_packets: int = 0
    logs: Counter[str] = field(default_factory=Counter)
    records: int = 0
    unread_records: Counter[tuple[str, str]] = field(default_factory=Counter)

    def merge(self, other: "RunStatistics") -> None:
        """Add the counts of another part of the run."""
        self.files += other.files
        self.packets += other.packets
        self.wire_bytes += other.wire_bytes
        self.candidates += other.candidates
        self.observations.update(other.observations)
        self.anomalies.update(other.anomalies)
        self.without_verdict.update(other.without_verdict)
        self.notes += other.notes
        self.unread += other.unread
        self.damaged |= other.damaged
        self.skipped += other.skipped
        self.own_evidence += other.own_evidence
        self.recorded_rows += other.recorded_rows
        self.lost_rows += other.lost_rows
        self.unrecorded_packets += other.unrecorded_packets
        self.logs.update(other.logs)
        self.records += other.records
        self.unread_records.update(other.unread_records)


def is_unknown_ether_type(anomaly: str) -> bool:
    """Whether an anomaly is an EtherType that is in no table."""
    return anomaly.startswith("wrapping-unknown-0x")


def limit_ether_types(anomalies: Mapping[str, int]) -> Counter[str]:
    """The counts with at most `ETHER_TYPE_LIMIT` EtherTypes named, the lowest numbers first.

    The others are counted as ``wrapping-unknown``. The packet loop limits each capture in the same
    way, so the counts do not depend on the order of captures.
    """
    limited = Counter(anomalies)
    for name in sorted(filter(is_unknown_ether_type, anomalies))[ETHER_TYPE_LIMIT:]:
        limited["wrapping-unknown"] += limited.pop(name)
    return limited
