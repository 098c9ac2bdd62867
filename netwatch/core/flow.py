"""Flows, the frames in them that may prove an incident, and how evidence was seen: whether the
server took part, which directions, and the checksum; what speaks against a contact; and what a log
says beside what packets show. A frame is raw data: nothing here knows what it contains.

A packet says of itself alone only in part how it was seen. Its mark
(`netwatch.dissect.loop.seen_marks`) is kept with the observation until it is known what its flow
came to, and what of it the server acknowledged.
"""

import hashlib
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, NamedTuple, get_args

LOG_LINE = -1
"""The link type of what is no frame but a record of a log."""

MAX_RECORD = 65_536
"""Bytes of a record of a log that are kept as evidence."""

DIGEST_DIGITS = 16
"""Hexadecimal digits of a packet's digest."""

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

Directions = Literal["both", "client", "server"]
"""Which sides of a conversation were seen."""

Checksum = Literal["right", "unknown", "wrong"]
"""What the checksum of the packet with the name is: ``unknown`` where bytes of it were cut off,
where it has none, where those of its whole direction are wrong, and in a log."""

CHECKSUMS: tuple[Checksum, ...] = ("unknown", "right", "wrong")
"""What a checksum is, by its number in a mark."""

IN_FLIGHT = 65_536
"""How much more a server may acknowledge than was seen of its client, bytes: what the capture may
have lost."""

CHECKSUM_PLACE = 32
PLACED = 1 << 34
PLACES = 0xFFFFFFFF
"""In a mark: where the number of the checksum is, the bit of those that have a place, and the bits
of that."""

ContradictionType = Literal[
    "mac-not-bound",
    "address-claimed-twice",
    "two-names",
    "overlap",
    "sensor-network",
    "sensor-device",
]
"""What speaks against a contact: the MAC in the frame is not that of the device, two MACs claim its
address, its connection showed another name as well, bytes that overlap differ, or a sensor speaks
of a network or a device that is not its own."""

CONTRADICTION_TYPES: tuple[ContradictionType, ...] = get_args(ContradictionType)
"""All of them, in the order in which alerts have them."""

PACKETS = "packets"
"""The origin of what was read from captures and interfaces."""


@dataclass(frozen=True, slots=True, order=True)
class Frame:
    """A frame as it was captured.

    `source`, `number`, `time` and `time_digits` are those of its `Packet`. `link_type` is a
    LINKTYPE_ number, or `LOG_LINE`; `interface` is the name of the interface or empty,
    `wire_length` the length on the wire in bytes, and `vlan_tci` the TCI of the VLAN tag that the
    NIC removed (-1 for none).
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
    frame that the evidence names. `client_ip` (4 or 16 bytes, empty where it is not known),
    `client_mac` and `vlan` are those of the contact.
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
    """The beginning of the SHA-256 of a record of a log."""
    return hashlib.sha256(data).hexdigest()[:DIGEST_DIGITS]


def packet_digest(time: int, data: bytes) -> str:
    """The beginning of the SHA-256 of a packet in an evidence capture: of its time in ns, as 8
    bytes in network order, and its bytes."""
    digest = hashlib.sha256((time & (1 << 64) - 1).to_bytes(8) + data)
    return digest.hexdigest()[:DIGEST_DIGITS]


@dataclass(frozen=True, slots=True)
class FlowProgress:
    """A flow so far, as the client of an observation in it sees it: payload sent and received,
    the time of its last packet (ns), what its server was seen to send, the place in what the client
    has sent that it has `acknowledged` (`mark`), and what the `checksums` are of
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
    acknowledged (`mark`), None where it has acknowledged nothing; `client_checksums`
    says what the checksums of its packets are. The same is known of the server. In a flow record
    one packet of `sampling` was looked at, and the bytes are those of these packets.
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


@dataclass(frozen=True, slots=True)
class Seen:
    """How a piece of evidence was seen. `server` says whether the server took part: it answered, or
    acknowledged what the client had sent; in a log, whether its program served the client, or says
    that a server did."""

    server: bool
    directions: Directions
    checksum: Checksum

    @property
    def proves_contact(self) -> bool:
        """Whether both ends took part in what was seen, as far as one can tell."""
        return self.server and self.checksum != "wrong"

    @property
    def rank(self) -> int:
        """Smaller where more was seen."""
        return _RANKS[self]


RANKED: tuple[Seen, ...] = tuple(
    Seen(server, directions, checksum)
    for server, checksum, directions in product(
        (True, False), get_args(Checksum), get_args(Directions)
    )
)
"""All there are, the best first."""

_RANKS = {seen: rank for rank, seen in enumerate(RANKED)}

UNSEEN = Seen(False, "client", "unknown")
"""A packet of the client alone, of which nothing else is known."""


def mark(place: int, checksum: Checksum) -> int:
    """The mark of a packet at this place in what its side sends."""
    return place | CHECKSUMS.index(checksum) << CHECKSUM_PLACE | PLACED


def place_of(mark: int) -> int | None:
    """The place of a packet by its mark; None where it has none."""
    return mark & PLACES if mark & PLACED else None


def checksum_of(mark: int) -> Checksum:
    """What the checksum of a packet is, by its mark."""
    return CHECKSUMS[min(mark >> CHECKSUM_PLACE & 3, 2)]


def seen_in_flow(mark: int, transport: str, flow: FlowProgress) -> Seen:
    """How a packet with this mark was seen, which a client has sent in a flow.

    A server has acknowledged a segment with a number that is not before it, nor behind what the
    client has sent. A datagram is answered where the flow table says that this one was.
    """
    checksum = checksum_of(mark)
    if checksum == "wrong" and flow.checksums == "wrong":
        # So are those of the others: the card computes them after the capture.
        checksum = "unknown"
    place, acked = place_of(mark), flow.acknowledged
    if place is None:
        # A store of an older version has neither.
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
    """Something that speaks against a contact, as a sentence.

    `sender` is the MAC in its frames where there is nothing to explain if that belongs to a router;
    a pseudonym of it where the device has one. Otherwise it is empty.
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
    the log itself says came of the contact (a word of `netwatch.core.verdict.Outcome`), empty where
    it says nothing, and `blocked_by` its own word for what denied it. In a flow record one packet
    of `sampling` was looked at.
    """

    format: str
    lacks: tuple[str, ...] = ()
    outcome: str = ""
    blocked_by: str = ""
    sampling: int = 1


def origin_of(log: "LogInfo | None") -> str:
    """Who has seen a contact: `PACKETS`, or the program whose log shows it, which is the name of
    the format up to the first hyphen (``zeek-tsv`` and ``zeek-json`` are both of ``zeek``). What
    two origins show may be the same contact twice."""
    return PACKETS if log is None else log.format.partition("-")[0]
