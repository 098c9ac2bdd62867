"""Flows: what the flow table knows of a conversation when it reports it."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from netwatch.core.frame import Frame

NameStatus = Literal[
    "none", "truncated", "no-sni", "named", "ech", "encrypted-dns", "vpn", "relay", "tor"
]
"""What the messages of a flow revealed about the name of its server."""

NAME_STATUSES: tuple[NameStatus, ...] = get_args(NameStatus)
"""The name statuses by their number in the flow table. A higher number replaces a lower one."""

DNS_TTL_GRACE = 300_000_000_000
"""How long after its TTL a DNS answer may still be in use, in ns: many caches enforce a minimum
TTL."""

BYPASS_CATEGORIES: tuple[NameStatus, ...] = ("encrypted-dns", "vpn", "relay", "tor")
"""Categories of apps that hide from the network which names a device looks up. A flow to such an
app has the category as its name status."""


Sent = str
"""What one side of a flow was seen to send: ``payload``; a ``refusal`` (TCP RST, or an ICMP error
in its name) before any payload; one of `DENIALS` instead of an answer; ``headers``, which are
packets without payload, such as a SYN-ACK, or without an answer, such as a Retry of QUIC; or
``nothing`` that the flow table looks at. Acknowledgements without data are not looked at."""

REFUSAL: Sent = "refusal"

_ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow",
    40: "handshake_failure", 42: "bad_certificate", 43: "unsupported_certificate",
    44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
    47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
    51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security",
    80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled",
    109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name",
    113: "bad_certificate_status_response", 115: "unknown_psk_identity",
    116: "certificate_required", 120: "no_application_protocol", 121: "ech_required",
}  # fmt: skip
"""Alerts of TLS by their number (RFC 8446 section 6, RFC 9849 section 5)."""

DENIALS: tuple[Sent, ...] = (
    "",
    *(f"tls-alert {_ALERTS.get(number, number)}" for number in range(256)),
    *(f"HTTP {status}" for status in (403, 407, 451, 511)),
)
"""What denies a client what it asked for, behind an empty text: fatal alerts of TLS instead of a
ServerHello, and responses of HTTP. Of those to several requests the last one counts, and only
if all of them were denials."""

Checksums = Literal["right", "unknown", "wrong"]
"""What the checksums of one side of a flow are, as far as they were looked at beside those of
packets with names: ``right`` if any is, ``wrong`` if all are."""

INITIAL_WINDOW = 14_600
"""Payload that a server may send before its client acknowledges any of it, bytes (RFC 6928). So
much may still arrive behind a reset that a middlebox has sent in the name of the server."""


CONTESTED = -1
"""Instead of what a server has acknowledged: its client was seen to send other bytes, or a hello
with another name, at the same place, and nobody can tell which of them the server took."""


@dataclass(frozen=True, slots=True)
class FlowProgress:
    """A flow so far, as the client of an observation in it sees it: payload sent and received,
    the time of its last packet (ns), what its server was seen to send, the place in what the client
    has sent that it has `acknowledged` (`netwatch.core.seen`), and what the `checksums` are of
    packets that the client has sent."""

    bytes_out: int
    bytes_in: int
    last: int
    server_sent: Sent
    acknowledged: int | None = None
    checksums: Checksums = "unknown"


class FlowClient(NamedTuple):
    """The client of a flow: its packed address, its VLAN id and its MAC, as far as known."""

    ip: bytes
    vlan: int | None
    mac: bytes | None


@dataclass(frozen=True, slots=True)
class Flow:
    """A TCP connection, or the packets between two UDP ports, reported when it ended or when the
    capture did. Lookups on the ports of DNS are not flows.

    `first` and `last` are the times of its first and last packet in ns, `bytes_out` and `bytes_in`
    the transport payload that the client sent and received. The client is the side that opened
    the flow; if the capture started in the middle of the flow (`start_seen` is false), it is the
    side with the higher port. `incomplete_message` is true if a message began in the flow and
    never became complete, and no other told about its name. `client_sent` and `server_sent` are
    what the two sides were seen to send. `source` and `packet` identify the first packet, `flow_id`
    is the number of the flow in observations. A flow from a log has its format in `log`, and the
    number of its record in `packet`. `frames` are the frames of the first packet, if frames are
    stored. `client_acknowledged` is the place in what the client has sent that the server has
    acknowledged (`netwatch.core.seen`), None if it has acknowledged nothing; `client_checksums`
    says what the checksums of its packets are. The same is known of the server.
    """

    first: int
    last: int
    transport: Literal["tcp", "udp"]
    client_ip: bytes
    client_port: int
    server_ip: bytes
    server_port: int
    vlan: int | None
    bytes_out: int
    bytes_in: int
    name_status: NameStatus
    start_seen: bool
    incomplete_message: bool
    client_sent: Sent = "nothing"
    server_sent: Sent = "nothing"
    source: str = ""
    packet: int = 0
    client_mac: bytes | None = None
    flow_id: int = field(default=0, compare=False)
    log: str = ""
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)
    client_acknowledged: int | None = None
    server_acknowledged: int | None = None
    client_checksums: Checksums = "unknown"
    server_checksums: Checksums = "unknown"
