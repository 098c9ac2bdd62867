"""Whether an evidence capture has what the alert of its incident claims.

The alert says a time, a name and a packet for each piece of evidence, and the device. Each piece
must be in the capture, at that time, and at least one must be of the address of the device: of one
device with several addresses, the alert names one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netwatch.core.addresses import parse_ip
from netwatch.core.errors import NetwatchError
from netwatch.core.text import escaped
from netwatch.formats.values import rfc3339
from netwatch.verify.check import Finding
from netwatch.verify.evidence_file import EvidenceFile
from netwatch.verify.pieces import AlertPiece, Claims, Contact, Piece, alert_pieces


def differences(record: Mapping[str, Any], file: EvidenceFile, claims: Claims) -> Iterator[Finding]:
    """What an alert claims and its capture does not have, or has otherwise. Raises `NetwatchError`
    where the record is none of an alert."""
    identifier = str(record.get("id", ""))
    pieces = [each for each in claims.pieces if each.contact.incident == identifier]
    by_place: dict[tuple[str, str, str, int], Piece] = {}
    for piece in pieces:
        key = piece.contact.type, piece.contact.name, piece.source, piece.number
        by_place.setdefault(key, piece)
    for claimed in alert_pieces(record):
        key = claimed.type, claimed.name, claimed.source, claimed.number
        found = by_place.get(key)
        if found is None:
            contact = Contact(claimed.type, claimed.name, identifier, None, None)
            expected = f"{claimed.type} {claimed.name} at {claimed.time}, as the alert says"
            place = contact, claimed.source, claimed.number
            yield Finding(*place, None, "missing", {}, expected, _instead(claimed, pieces))
        elif not claimed.is_at(file.packets[found.frame].time):
            place = found.contact, found.source, found.number
            time = rfc3339(file.packets[found.frame].time, 9)
            expected = f"at {claimed.time}, as the alert says"
            yield Finding(*place, found.frame, "differs", {}, expected, f"at {time}")
    yield from _device(record, identifier, pieces)


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
