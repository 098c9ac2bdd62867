"""Whether an evidence capture has what the alert of its incident claims.

The alert says a time, a name and a packet for each piece of evidence, how that was seen, and the
device. Each piece must be in the capture, at that time, and the capture must show as much of the
server as the alert claims. At least one must be of the address of the device: of one device with
several addresses, the alert names one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netwatch.core.addresses import parse_ip
from netwatch.core.errors import NetwatchError
from netwatch.core.message import HANDSHAKES
from netwatch.core.text import escaped
from netwatch.formats.values import rfc3339
from netwatch.verify.check import Finding, answer
from netwatch.verify.conversations import Shown, shown_of
from netwatch.verify.evidence_file import EvidenceFile
from netwatch.verify.flows import Flows
from netwatch.verify.pieces import AlertPiece, Claims, Contact, Piece, alert_pieces


def differences(
    record: Mapping[str, Any], file: EvidenceFile, claims: Claims, flows: Sequence[Flows]
) -> Iterator[Finding]:
    """What an alert claims and its capture does not have, or has otherwise. Raises `NetwatchError`
    where the record is none of an alert."""
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
            expected = f"{claimed.type} {claimed.name} at {claimed.time}, as the alert says"
            yield Finding(
                contact, claimed.source, claimed.number, None, "missing", {}, expected,
                _instead(claimed, pieces),
            )  # fmt: skip
            continue
        place = found.contact, found.source, found.number, found.frame
        if not claimed.is_at(file.packets[found.frame].time):
            time = rfc3339(file.packets[found.frame].time, 9)
            expected = f"at {claimed.time}, as the alert says"
            yield Finding(*place, "differs", {}, expected, f"at {time}")
        readings = list(_shown(found, claims, flows))
        shown.append((found, readings))
        for expected, text in _claims_more(claimed, readings):
            yield Finding(*place, "differs", {}, f"{expected}, as the alert says", text)
    yield from _confidence(record, identifier, shown)
    yield from _device(record, identifier, pieces)


def _shown(piece: Piece, claims: Claims, flows: Sequence[Flows]) -> Iterator[Shown]:
    """How the packet of a piece was seen, by each reader that shows the piece."""
    for each in flows:
        if answer(piece, each).result == "shown":
            shown = shown_of(piece, claims, each)
            if shown is not None:
                yield shown


def _claims_more(claimed: AlertPiece, shown: Sequence[Shown]) -> Iterator[tuple[str, str]]:
    """What an alert says of how a piece was seen and no reader sees, and what they see."""
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
    """An alert that is ``confirmed`` wants a handshake in which the server took part, unless a log
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
    """What the capture has in place of a piece."""
    place = claimed.source, claimed.number
    same = [each.contact for each in pieces if (each.source, each.number) == place]
    if same:
        names = sorted({f"{each.type} {each.name}" for each in same})
        return f"that packet shows {', '.join(names[:4])}"
    name = claimed.type, claimed.name
    if any((each.contact.type, each.contact.name) == name for each in pieces):
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
        return  # a pseudonym, of which packets show nothing
    clients = [each.contact.client.ip for each in pieces if each.contact.client is not None]
    if clients and address not in clients:
        contact = Contact("device", address, identifier, None, None)
        found = f"contacts of {', '.join(sorted(set(clients))[:4])}"
        expected = f"a contact of {address}, the device of the alert"
        yield Finding(contact, "", 0, None, "differs", {}, expected, found)
