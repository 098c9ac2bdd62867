"""Whether an evidence capture has what the alert of its incident claims.

The alert has a time, a name and a packet for each piece of evidence, how that was seen, and the
device. Each piece must be in the capture, at that time, and the capture must show as much of the
server as the alert claims. At least one must have the device's address: if a device has several
addresses, the alert names one.

How a packet was seen (did the server take part, was more than one side seen, what is its checksum)
is determined as far as the capture shows it. An evidence capture has the first packets of a server
that acknowledge what its client has sent. A segment is acknowledged by a number that is not before
its own (RFC 9293 section 3.4), a QUIC hello by a packet to the connection id that the client chose
(RFC 9000 section 7.2), any other datagram by one that comes back.
"""

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from netwatch.core.addresses import parse_ip
from netwatch.core.errors import NetwatchError
from netwatch.core.message import HANDSHAKES
from netwatch.core.text import escaped
from netwatch.formats.values import rfc3339
from netwatch.verify.check import Finding, answer
from netwatch.verify.evidence_file import (
    AlertPiece,
    Claims,
    Contact,
    EvidenceFile,
    Piece,
    alert_pieces,
)
from netwatch.verify.flows import Datagram, Flows

Checksum = Literal["right", "unknown", "wrong"]

BY_SERVER = frozenset({"dns-answer", "dns-cname", "tls-cert"})
"""Kinds of evidence whose packet the server sends."""

_OTHER_HALF = {"dns-query": "dns-answer", "dns-answer": "dns-query"}
_TCP, _UDP = 6, 17
_HALF = 1 << 31
_LONG_HEADER = 0xC0
_MAX_ID = 20


@dataclass(frozen=True, slots=True)
class Shown:
    """What a capture shows of a packet: whether its server took part, whether both sides were seen,
    and its checksum state."""

    server: bool
    both: bool
    checksum: Checksum


def shown_of(piece: Piece, claims: Claims, flows: Flows) -> Shown | None:
    """How the packet of a piece was seen, by one reader; None if it does not read the packet."""
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
    """Whether a datagram from the server shows that it has received what the client has sent."""
    if asked.ip.protocol == _TCP:
        number = back.segment.acknowledges
        return number is not None and (number - asked.segment.sequence) % (1 << 32) < _HALF
    wanted = _own_id(asked.segment.payload)
    return wanted is None or _called_id(back.segment.payload) == wanted


def _own_id(payload: bytes) -> bytes | None:
    """The source connection id in a long header (RFC 9000 section 17.2); None if there is none, or
    in Google's own QUIC."""
    if len(payload) < 7 or payload[0] < _LONG_HEADER or payload[1] in b"QT":
        return None
    at = 6 + payload[5]
    if payload[5] > _MAX_ID or at >= len(payload) or at + 1 + payload[at] > len(payload):
        return None
    return payload[at + 1 : at + 1 + payload[at]]


def _called_id(payload: bytes) -> bytes | None:
    """The destination connection id in a long header, or a version negotiation."""
    if len(payload) < 7 or payload[0] < 0x80 or payload[5] > _MAX_ID:
        return None
    return payload[6 : 6 + payload[5]]


def checksum_of(datagram: Datagram) -> Checksum:
    """The checksum state of a segment or datagram (RFC 9293 section 3.1, RFC 768, RFC 8200 section
    8.1): unknown if bytes were cut off or it has none, and if it came in fragments."""
    ip, data = datagram.ip, datagram.ip.payload
    field = 16 if ip.protocol == _TCP else 6
    if ip.size != len(data) or len(data) < field + 2 or len(datagram.frames) > 1:
        return "unknown"
    if ip.protocol == _UDP and not (any(data[6:8]) and int.from_bytes(data[4:6]) == len(data)):
        return "unknown"
    pseudo = _packed(ip.source) + _packed(ip.destination)
    pseudo += len(data).to_bytes(4) + ip.protocol.to_bytes(4)
    # A number of 16-bit words and their sum leave the same remainder (RFC 1071 section 2).
    total = int.from_bytes(pseudo + data + bytes(len(data) % 2))
    return "right" if total % 0xFFFF == 0 else "wrong"


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def differences(
    record: Mapping[str, Any], file: EvidenceFile, claims: Claims, flows: Sequence[Flows]
) -> Iterator[Finding]:
    """What an alert claims and its capture lacks, or has differently. Raises `NetwatchError` if the
    record is not an alert's."""
    identifier = str(record.get("id", ""))
    pieces = [each for each in claims.pieces if each.contact.incident == identifier]
    by_place: dict[tuple[str, str, str, int], Piece] = {}
    for piece in pieces:
        key = piece.contact.type, piece.contact.name, piece.source, piece.number
        by_place.setdefault(key, piece)
    shown: list[tuple[Piece, list[Shown]]] = []
    for claimed in alert_pieces(record):
        key = claimed.type, claimed.name, claimed.source, claimed.number
        found = by_place.get(key)
        if found is None:
            contact = Contact(claimed.type, claimed.name, identifier, None, None)
            expected = f"{claimed.type} {claimed.name} at {claimed.time}, as in the alert"
            yield Finding(
                contact, claimed.source, claimed.number, None, "missing", {}, expected,
                _instead(claimed, pieces),
            )  # fmt: skip
            continue
        place = found.contact, found.source, found.number, found.frame
        if not claimed.is_at(file.packets[found.frame].time):
            time = rfc3339(file.packets[found.frame].time, 9)
            expected = f"at {claimed.time}, as in the alert"
            yield Finding(*place, "differs", {}, expected, f"at {time}")
        readings = list(_shown(found, claims, flows))
        shown.append((found, readings))
        for expected, text in _claims_more(claimed, readings):
            yield Finding(*place, "differs", {}, f"{expected}, as in the alert", text)
    yield from _confidence(record, identifier, shown)
    yield from _device(record, identifier, pieces)


def _shown(piece: Piece, claims: Claims, flows: Sequence[Flows]) -> Iterator[Shown]:
    """How the packet of a piece was seen, by each reader that shows the piece."""
    for flow in flows:
        if answer(piece, flow).result == "shown":
            shown = shown_of(piece, claims, flow)
            if shown is not None:
                yield shown


def _claims_more(claimed: AlertPiece, shown: Sequence[Shown]) -> Iterator[tuple[str, str]]:
    """What an alert claims about how a piece was seen and no reader sees, and what they see."""
    if not shown:
        return
    seen = claimed.seen
    if seen.get("server") is True and not any(each.server for each in shown):
        yield "an answer of the server", "no packet that acknowledges this one"
    if seen.get("directions") == "both" and not any(each.both for each in shown):
        yield "packets of both sides", "packets of one side"
    checksums = {each.checksum for each in shown} - {"unknown"}
    told = seen.get("checksum", "unknown")
    if checksums and told != "unknown" and told not in checksums:
        yield f"a checksum that is {escaped(str(told))}", f"one that is {min(checksums)}"


def _confidence(
    record: Mapping[str, Any], identifier: str, pieces: Sequence[tuple[Piece, Sequence[Shown]]]
) -> Iterator[Finding]:
    """An alert that is ``confirmed`` needs a handshake in which the server took part, unless a log
    has it, or neither reader reads such packets."""
    if record.get("confidence") != "confirmed" or any(
        item.get("log") and item.get("type") in HANDSHAKES for item in record["evidence"]
    ):
        return
    handshakes = [(piece, shown) for piece, shown in pieces if piece.contact.type in HANDSHAKES]
    if any(not shown for _, shown in handshakes):
        return
    if any(each.server for _, shown in handshakes for each in shown):
        return
    contact = Contact("confidence", "confirmed", identifier, None, None)
    expected = "a handshake that its server has acknowledged or answered"
    found = "no packet of a server" if handshakes else "no handshake"
    yield Finding(contact, "", 0, None, "differs", {}, expected, found)


def _instead(claimed: AlertPiece, pieces: Sequence[Piece]) -> str:
    """The capture's content instead of a piece of evidence."""
    place = claimed.source, claimed.number
    same = [piece.contact for piece in pieces if (piece.source, piece.number) == place]
    if same:
        names = sorted({f"{each.type} {each.name}" for each in same})
        return f"that packet shows {', '.join(names[:4])}"
    name = claimed.type, claimed.name
    if any((piece.contact.type, piece.contact.name) == name for piece in pieces):
        return "the name in other packets only"
    return "no packet for it in the capture"


def _device(
    record: Mapping[str, Any], identifier: str, pieces: Sequence[Piece]
) -> Iterator[Finding]:
    try:
        address = escaped(str(record["device"]["ip"]))
    except (KeyError, TypeError):
        raise NetwatchError("expected the record of an alert with its device") from None
    if parse_ip(address) is None:
        return  # a pseudonym, which packets do not show
    clients = [piece.contact.client.ip for piece in pieces if piece.contact.client is not None]
    if clients and address not in clients:
        contact = Contact("device", address, identifier, None, None)
        found = f"contacts of {', '.join(sorted(set(clients))[:4])}"
        expected = f"a contact of {address}, the device of the alert"
        yield Finding(contact, "", 0, None, "differs", {}, expected, found)
