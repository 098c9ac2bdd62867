"""Flows, the frames in them that may prove an incident, and how evidence was seen: whether the
server took part, which directions, and the checksum; what contradicts a contact; and what a log
says in addition to what packets show. A frame is raw data: nothing here knows what it contains.

A packet alone shows only in part how it was seen. Its mark (`netwatch.dissect.loop.seen_marks`) is
kept with the observation until the outcome of its flow is known, and how much of it the server
acknowledged.
"""

import hashlib
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, NamedTuple, get_args

LOG_LINE = -1
"""The link type of a log record, which is not a frame."""

MAX_RECORD = 65_536
"""Bytes of a log record that are kept as evidence, at most."""

DIGEST_DIGITS = 16
"""Hexadecimal digits of a packet's digest."""

NameStatus = Literal[
    "none", "truncated", "no-sni", "named", "ech", "encrypted-dns", "vpn", "relay", "tor"
]
"""What the messages of a flow revealed about its server's name."""

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
packets without payload (SYN-ACK) or without an answer (QUIC Retry); or ``nothing`` that the flow
table looks at. Acknowledgements without data are not looked at."""

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
"""TLS alerts by number (RFC 8446 section 6, RFC 9849 section 5)."""

DENIALS: tuple[Sent, ...] = (
    "",
    *(f"tls-alert {_ALERTS.get(number, number)}" for number in range(256)),
    *(f"HTTP {status}" for status in (403, 407, 451, 511)),
)
"""What denies a client its request, after an empty text: fatal TLS alerts instead of a ServerHello,
and HTTP responses. With several requests, the last response counts, and only if all of them were
denials."""

Checksums = Literal["right", "unknown", "wrong"]
"""The checksums of one side of a flow, as far as packets without names were checked: ``right`` if
any is, ``wrong`` if all are."""

INITIAL_WINDOW = 14_600
"""Payload in bytes that a server may send before its client acknowledges any of it (RFC 6928). So
much may still arrive after a reset that a middlebox has forged in the server's name."""


CONTESTED = -1
"""Instead of what a server has acknowledged: its client was seen to send other bytes, or a hello
with another name, at the same place, and it is unknown which of them the server took."""

Directions = Literal["both", "client", "server"]
"""Which sides of a conversation were seen."""

Checksum = Literal["right", "unknown", "wrong"]
"""The checksum of the packet with the name: ``unknown`` if bytes of it were cut off, if it has
none, if all of its direction are wrong, and in a log."""

CHECKSUMS: tuple[Checksum, ...] = ("unknown", "right", "wrong")
"""Checksum states, by their number in a mark."""

IN_FLIGHT = 65_536
"""How much more than the client was seen to send a server may acknowledge, in bytes: the capture
may have lost packets."""

CHECKSUM_PLACE = 32
PLACED = 1 << 34
PLACES = 0xFFFFFFFF
"""The layout of a mark: the shift of the checksum's number, the bit that is set if there is a
position, and the mask of the position."""

ContradictionType = Literal[
    "mac-not-bound",
    "address-claimed-twice",
    "two-names",
    "overlap",
    "sensor-network",
    "sensor-device",
]
"""What contradicts a contact: the MAC in the frame is not the device's, two MACs claim its address,
its connection showed another name as well, overlapping bytes differ, or a sensor reports a network
or device that is not its own."""

CONTRADICTION_TYPES: tuple[ContradictionType, ...] = get_args(ContradictionType)
"""All contradictions, in the order of alerts."""

PACKETS = "packets"
"""The origin of what was read from captures and interfaces."""


@dataclass(frozen=True, slots=True, order=True)
class Frame:
    """A frame as it was captured.

    `source`, `number`, `time` and `time_digits` are as in its `Packet`. `link_type` is a LINKTYPE_
    number, or `LOG_LINE`; `interface` is the name of the interface or empty, `wire_length` the
    length on the wire in bytes, and `vlan_tci` the TCI of the VLAN tag that the NIC removed (-1 for
    none).
    """

    source: str
    number: int
    time: int
    time_digits: int
    link_type: int
    interface: str
    wire_length: int
    vlan_tci: int
    data: bytes


@dataclass(frozen=True, slots=True)
class EvidenceFrames:
    """The frames that prove one contact of an incident.

    `type` is the kind of evidence, `name` the name shown, and `source` and `packet` identify the
    frame that the evidence names. `client_ip` (4 or 16 bytes, empty if not known), `client_mac` and
    `vlan` are the contact's.
    """

    type: str
    name: str
    time: int
    source: str
    packet: int
    frames: tuple[Frame, ...] = field(repr=False)
    client_ip: bytes = b""
    client_mac: bytes | None = None
    vlan: int | None = None


def record_digest(data: bytes) -> str:
    """The beginning of the SHA-256 of a log record."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_DIGITS]


def packet_digest(time: int, data: bytes) -> str:
    """The beginning of the SHA-256 of a packet in an evidence capture: of its time in ns (8 bytes
    in network order) and its bytes."""
    digest = hashlib.sha256((time & (1 << 64) - 1).to_bytes(8) + data)
    return digest.hexdigest()[:DIGEST_DIGITS]


@dataclass(frozen=True, slots=True)
class FlowProgress:
    """A flow so far, as seen by the client of an observation in it: payload sent and received, the
    time of its last packet (ns), what its server was seen to send, the position in the client's
    stream that the server has `acknowledged` (`mark`), and the `checksums` of the client's
    packets."""

    bytes_out: int
    bytes_in: int
    last: int
    server_sent: Sent
    acknowledged: int | None = None
    checksums: Checksums = "unknown"


class FlowClient(NamedTuple):
    """The client of a flow: its packed address, VLAN id and MAC, as far as known."""

    ip: bytes
    vlan: int | None
    mac: bytes | None


@dataclass(frozen=True, slots=True)
class Flow:
    """A TCP connection, or the packets between two UDP ports, reported when it ended or when the
    capture did. Lookups on the ports of DNS are not flows.

    `first` and `last` are the times of its first and last packet in ns, `bytes_out` and `bytes_in`
    the transport payload that the client sent and received. The client is the side that opened the
    flow; if the capture started in the middle of the flow (`start_seen` is false), it is the side
    with the higher port. `incomplete_message` is true if a message began in the flow and never
    became complete, and no other message showed its name. `client_sent` and `server_sent` are what
    the two sides were seen to send. `source` and `packet` identify the first packet, `flow_id` is
    the number of the flow in observations. A flow from a log has its format in `log`, and the
    number of its record in `packet`. `frames` are the frames of the first packet, if frames are
    stored. `client_acknowledged` is the position in the client's stream that the server has
    acknowledged (`mark`), None if it has acknowledged nothing; `client_checksums` is the state of
    its packets' checksums. The same is known of the server. One packet of `sampling` was looked at,
    and the bytes are those of these packets. A flow record whose exporter had sent what cannot be
    `is_doubted`.
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
    sampling: int = 1
    is_doubted: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """How a piece of evidence was seen. `server` tells whether the server took part: it answered,
    or acknowledged what the client had sent; in a log, whether its program served the client, or
    reports that a server did."""

    server: bool
    directions: Directions
    checksum: Checksum

    @property
    def proves_contact(self) -> bool:
        """Whether both ends took part in what was seen, as far as one can tell."""
        return self.server and self.checksum != "wrong"

    @property
    def rank(self) -> int:
        """A sort key: smaller if more was seen."""
        return _RANKS[self]


RANKED: tuple[Seen, ...] = tuple(
    Seen(server, directions, checksum)
    for server, checksum, directions in product(
        (True, False), get_args(Checksum), get_args(Directions)
    )
)
"""All there are, best first."""

_RANKS = {seen: rank for rank, seen in enumerate(RANKED)}

UNSEEN = Seen(False, "client", "unknown")
"""A packet of the client, without anything else known."""


def mark(place: int, checksum: Checksum) -> int:
    """The mark of a packet at this position in its side's stream."""
    return place | CHECKSUMS.index(checksum) << CHECKSUM_PLACE | PLACED


def place_of(mark: int) -> int | None:
    """The position of a packet by its mark; None if it has none."""
    return mark & PLACES if mark & PLACED else None


def checksum_of(mark: int) -> Checksum:
    """The checksum state of a packet, by its mark."""
    return CHECKSUMS[min(mark >> CHECKSUM_PLACE & 3, 2)]


def seen_in_flow(mark: int, transport: str, flow: FlowProgress) -> Seen:
    """How a packet with this mark, sent by a client in a flow, was seen.

    A server has acknowledged a segment if its acknowledgement is not before the segment, nor beyond
    what the client has sent. A datagram is answered if the flow table says that this one was.
    """
    checksum = checksum_of(mark)
    if checksum == "wrong" and flow.checksums == "wrong":
        # So are all others: the card computes them after the capture.
        checksum = "unknown"
    place, acked = place_of(mark), flow.acknowledged
    if place is None:
        # A store written by an older version has neither.
        server = flow.server_sent in ("payload", "headers")
    elif acked is None or acked == CONTESTED:
        server = False
    elif transport == "udp":
        server = acked == place
    else:
        server = (acked - place) & PLACES <= flow.bytes_out + IN_FLIGHT
    return Seen(server, "client" if flow.server_sent == "nothing" else "both", checksum)


@dataclass(frozen=True, slots=True, order=True)
class Contradiction:
    """A contradiction to a contact, as a sentence.

    `sender` is the MAC in its frames, or the pseudonym of it that the device has, if there would be
    no contradiction should that MAC belong to a router. Otherwise it is empty.
    """

    type: ContradictionType
    text: str
    sender: str = ""


class Sender(NamedTuple):
    """Whose packets a MAC sends: the MAC, or a pseudonym of it, and the client."""

    mac: str
    client: str


@dataclass(frozen=True, slots=True)
class LogInfo:
    """The log of an observation that comes from one.

    `lacks` are words of `netwatch.logs.records.Lack`, in the order of that table. `outcome` is what
    the log itself reports about the contact (a word of `netwatch.core.verdict.Outcome`), empty if
    nothing, and `blocked_by` its own word for what denied it. In a flow record one packet
    of `sampling` was looked at.
    """

    format: str
    lacks: tuple[str, ...] = ()
    outcome: str = ""
    blocked_by: str = ""
    sampling: int = 1


def origin_of(log: "LogInfo | None") -> str:
    """Who has seen a contact: `PACKETS`, or the program whose log shows it, which is the name of
    the format up to the first hyphen (``zeek-tsv`` and ``zeek-json`` are both ``zeek``). Two
    origins may show the same contact twice."""
    return PACKETS if log is None else log.format.partition("-")[0]
