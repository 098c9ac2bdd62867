"""What an incident claims: pieces of evidence, from the comments of its capture and from its alert.

The comment of a packet says what the packet proves, for which incident, and where it came from,
then device, time of the contact and digest (`netwatch.incidents.evidence_selection`). Captures of
earlier versions end behind the place: their pieces are checked without what they do not say.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.core.text import escaped
from netwatch.formats.values import epoch_ns
from netwatch.verify.evidence_file import EvidenceFile

MAX_PIECES = 32_768
"""Pieces of evidence in a file, those of its packets that are part of one included."""

_COMMENT = re.compile(
    r"(?P<part>part of )?(?P<type>[a-z-]{3,16}) (?P<name>\S*), incident (?P<incident>[0-9a-f]{32}),"
    r" packet (?P<source>.*)#(?P<number>\d{1,18})"
    r"(?P<device>, from (?P<ip>[0-9A-Fa-f:.]+)(?: (?P<mac>(?:[0-9a-f]{2}:){5}[0-9a-f]{2}))?"
    r"(?: vlan (?P<vlan>\d{1,4}))? at (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z),"
    r" sha256 (?P<digest>[0-9a-f]{16}))?",
    re.DOTALL,
)
_SECTION = re.compile(r"incident (?P<incident>[0-9a-f]{32}): ")
_FILE_NAME = re.compile(r"\d{8}T\d{6}Z-(?P<incident>[0-9a-f]{32})\.pcapng")


@dataclass(frozen=True, slots=True)
class Client:
    """The device that a contact is said to be of."""

    ip: str
    mac: str | None
    vlan: int | None

    def __str__(self) -> str:
        vlan = None if self.vlan is None else f"VLAN {self.vlan}"
        return ", ".join(filter(None, (self.ip, self.mac, vlan)))


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact of an incident: what all comments on its packets share. `client` and `time` (ns)
    are None where the comments do not say them."""

    type: str
    name: str
    incident: str
    client: Client | None
    time: int | None


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of evidence: its contact, the packet that shows it as source and number, the position
    of that packet in the file, and those of the packets that are part of it."""

    contact: Contact
    source: str
    number: int
    frame: int
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a file claims: its pieces, the ids of its incidents, and the digests of its packets by
    their position. `unknown` are the packets without a comment of netwatch, `orphans` those that
    are part of a contact which no packet shows."""

    pieces: tuple[Piece, ...]
    incidents: frozenset[str]
    digests: Mapping[int, frozenset[str]]
    unknown: tuple[int, ...]
    orphans: tuple[tuple[int, Contact], ...]


def claims_of(name: str, file: EvidenceFile) -> Claims:
    """The claims of an evidence capture; `name` is that of the file. Raises `NetwatchError` where
    it makes none."""
    shown: list[tuple[Contact, str, int, int]] = []
    parts: dict[Contact, list[int]] = {}
    digests: dict[int, set[str]] = {}
    unknown: list[int] = []
    count = 0
    for at, packet in enumerate(file.packets):
        matches = list(filter(None, map(_COMMENT.fullmatch, packet.comments)))
        if not matches:
            unknown.append(at)
        for match in matches:
            count += 1
            if count > MAX_PIECES:
                raise NetwatchError(f"cannot be read: expected at most {MAX_PIECES:,} comments")
            contact = _contact(match)
            if match["digest"]:
                digests.setdefault(at, set()).add(match["digest"])
            if match["part"]:
                parts.setdefault(contact, []).append(at)
            else:
                shown.append((contact, match["source"], int(match["number"]), at))
    if not shown and not parts:
        raise NetwatchError(
            "cannot be read: expected a capture of `scan --evidence`, found no comment of it"
        )
    pieces = tuple(
        Piece(contact, source, number, at, tuple(parts.get(contact, ())))
        for contact, source, number, at in shown
    )
    known = {piece.contact for piece in pieces}
    incidents = {each.incident for each in (*known, *parts)}
    incidents |= {
        section["incident"] for text in file.comments if (section := _SECTION.match(text))
    }
    if named := _FILE_NAME.fullmatch(name):
        incidents.add(named["incident"])
    orphans = tuple(
        (at, each) for each, frames in parts.items() if each not in known for at in frames
    )
    frozen = {at: frozenset(each) for at, each in digests.items()}
    return Claims(pieces, frozenset(incidents), frozen, tuple(unknown), orphans)


def _contact(match: re.Match[str]) -> Contact:
    client = time = None
    if match["device"]:
        vlan = None if match["vlan"] is None else int(match["vlan"])
        client = Client(match["ip"], match["mac"], vlan)
        try:
            time = epoch_ns(match["time"])
        except ValueError:  # such as the 31st of February
            time = -1
    return Contact(match["type"], match["name"], match["incident"], client, time)


@dataclass(frozen=True, slots=True)
class AlertPiece:
    """A piece of evidence as an alert has it. `time` is RFC 3339 as fine as the capture. `seen` is
    how it was seen, by the keys of the record; empty where the alert does not say it."""

    type: str
    name: str
    source: str
    number: int
    time: str
    seen: Mapping[str, object]

    def is_at(self, time: int) -> bool:
        """Whether a time in ns is this one, as finely as this one is written."""
        digits = len(self.time.partition(".")[2].removesuffix("Z"))
        unit = 10 ** (9 - min(digits, 9))
        try:
            return bool(epoch_ns(self.time) == time // unit * unit)
        except ValueError:
            return False


def alert_pieces(record: Mapping[str, Any]) -> Iterator[AlertPiece]:
    """The evidence of an alert's record, except what comes from a log and not from a packet. Raises
    `NetwatchError` where the record is none of an alert."""
    try:
        for item in record["evidence"]:
            if item.get("log"):
                continue
            yield AlertPiece(
                str(item["type"]),
                escaped(str(item["name"])),
                escaped(str(item["source"])),
                int(item["packet"]),
                str(item["time"]),
                dict(item.get("seen") or {}),
            )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NetwatchError("expected the record of an alert with its evidence") from None
