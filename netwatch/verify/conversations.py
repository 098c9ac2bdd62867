"""How a packet was seen, as far as its evidence capture shows that: did the server take part, was
more than one side seen, what is its checksum.

An evidence capture has the first packets of a server that acknowledge what its client has sent. A
segment is acknowledged by a number that is not before its own (RFC 9293 section 3.4), a hello of
QUIC by a packet that calls the client by the id that it asked for (RFC 9000 section 7.2), any other
datagram by one that comes back.
"""

import socket
from dataclasses import dataclass
from typing import Literal

from netwatch.verify.flows import Datagram, Flows
from netwatch.verify.pieces import Claims, Piece

Checksum = Literal["right", "unknown", "wrong"]

BY_SERVER = frozenset({"dns-answer", "dns-cname", "tls-cert"})
"""Kinds of evidence whose packet the server has sent."""

_OTHER_HALF = {"dns-query": "dns-answer", "dns-answer": "dns-query"}
_TCP, _UDP = 6, 17
_HALF = 1 << 31
_LONG_HEADER = 0xC0
_MAX_ID = 20


@dataclass(frozen=True, slots=True)
class Shown:
    """What a capture shows of a packet: whether its server took part, whether both sides were seen,
    and what its checksum is."""

    server: bool
    both: bool
    checksum: Checksum


def shown_of(piece: Piece, claims: Claims, flows: Flows) -> Shown | None:
    """How the packet of a piece was seen, by one reader; None where it does not read the packet."""
    datagram = flows.by_frame.get(piece.frame)
    if datagram is None:
        return None
    back = flows.sent_back(datagram)
    half = _has_other_half(piece, claims)
    by_server = piece.contact.type in BY_SERVER
    server = by_server or half or any(_answers(datagram, each) for each in back)
    both = half or bool(back) or datagram.flow in flows.refused.values()
    return Shown(server, both, checksum_of(datagram))


def _has_other_half(piece: Piece, claims: Claims) -> bool:
    """Whether the capture has the answer to a question, or the question of an answer, too."""
    other = _OTHER_HALF.get(piece.contact.type)
    return any(
        each.contact.type == other
        and each.contact.name == piece.contact.name
        and each.contact.incident == piece.contact.incident
        for each in claims.pieces
    )


def _answers(asked: Datagram, back: Datagram) -> bool:
    """Whether a datagram from the server shows that it has what the client has sent."""
    if asked.ip.protocol == _TCP:
        number = back.segment.acknowledges
        return number is not None and (number - asked.segment.sequence) % (1 << 32) < _HALF
    wanted = _own_id(asked.segment.payload)
    return wanted is None or _called_id(back.segment.payload) == wanted


def _own_id(payload: bytes) -> bytes | None:
    """The connection id by which the sender of a long header is to be called (RFC 9000 section
    17.2); None where it is none, or one of Google's own QUIC."""
    if len(payload) < 7 or payload[0] < _LONG_HEADER or payload[1] in b"QT":
        return None
    at = 6 + payload[5]
    if payload[5] > _MAX_ID or at >= len(payload) or at + 1 + payload[at] > len(payload):
        return None
    return payload[at + 1 : at + 1 + payload[at]]


def _called_id(payload: bytes) -> bytes | None:
    """The connection id by which a long header, or a version negotiation, calls its receiver."""
    if len(payload) < 7 or payload[0] < 0x80 or payload[5] > _MAX_ID:
        return None
    return payload[6 : 6 + payload[5]]


def checksum_of(datagram: Datagram) -> Checksum:
    """What the checksum of a segment or datagram is (RFC 9293 section 3.1, RFC 768, RFC 8200
    section 8.1): unknown where bytes were cut off or it has none, and of one that came in
    fragments."""
    ip, data = datagram.ip, datagram.ip.payload
    field = 16 if ip.protocol == _TCP else 6
    if ip.size != len(data) or len(data) < field + 2 or len(datagram.frames) > 1:
        return "unknown"
    if ip.protocol == _UDP and not (any(data[6:8]) and int.from_bytes(data[4:6]) == len(data)):
        return "unknown"
    pseudo = _packed(ip.source) + _packed(ip.destination)
    pseudo += len(data).to_bytes(4) + ip.protocol.to_bytes(4)
    # A number of 16-bit words and the sum of these leave the same rest (RFC 1071 section 2).
    total = int.from_bytes(pseudo + data + bytes(len(data) % 2))
    return "right" if total % 0xFFFF == 0 else "wrong"


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
