"""An evidence capture as scapy and dpkt read it: packets, their times and their comments, and the
claims of the incident in these comments and in its alert, as pieces of evidence.

Both libraries read pcapng by themselves and must agree on every packet. Neither starts afresh with
a second section, which a file continued by a later process has, so each section is passed to them
separately.

The comment of a packet says what the packet proves, for which incident, and where it came from,
then device, time of the contact and digest (`netwatch.incidents.evidence_selection`). In captures
of earlier versions comments end after the place: their pieces are checked without the rest.
"""

import io
import logging
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.core.text import escaped
from netwatch.core.user_yaml import read_user_file
from netwatch.formats.values import epoch_ns

MAX_FILE_BYTES = 128 << 20
"""Bytes of a file, at most. An evidence capture holds 8 MiB of packets each time that it is
continued."""

MAX_PACKETS = 65_536
"""Packets of a file."""

MAX_OPTIONS = 64
"""Options of a block. netwatch writes up to 9."""

_SECTION, _INTERFACE, _ENHANCED = 0x0A0D0D0A, 1, 6
_LITTLE, _BIG = b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"
_COMMENT, _RESOLUTION, _OFFSET = 1, 9, 14
_EPOCH_DIGITS = 1_000_000_000

MAX_PIECES = 32_768
"""Pieces of evidence in a file, including its packets that are part of one."""

_PIECE = re.compile(
    r"(?P<part>part of )?(?P<type>[a-z-]{3,16}) (?P<name>\S*), incident (?P<incident>[0-9a-f]{32}),"
    r" packet (?P<source>.*)#(?P<number>\d{1,18})"
    r"(?P<device>, from (?:p[0-9a-f]{4}-[a-z2-7]{16}|"
    r"(?P<ip>[0-9A-Fa-f:.]+)(?: (?P<mac>(?:[0-9a-f]{2}:){5}[0-9a-f]{2}))?"
    r"(?: vlan (?P<vlan>\d{1,4}))?) at (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z),"
    r" sha256 (?P<digest>[0-9a-f]{16}))?",
    re.DOTALL,
)
_OF_INCIDENT = re.compile(r"incident (?P<incident>[0-9a-f]{32}): ")
_FILE_NAME = re.compile(r"\d{8}T\d{6}Z-(?P<incident>[0-9a-f]{32})\.pcapng")


@dataclass(frozen=True, slots=True)
class CapturedPacket:
    """A packet of the file: its time in ns, its LINKTYPE_ number, its bytes, its length on the
    wire, and its comments."""

    time: int
    link_type: int
    data: bytes
    wire_length: int
    comments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """All packets of a file in its order, and the comments of its sections."""

    packets: tuple[CapturedPacket, ...]
    comments: tuple[str, ...]


def read_evidence_file(path: Path) -> EvidenceFile:
    """Read a file by both libraries. Raises `NetwatchError` if it is not a pcapng file, damaged or
    too large, or if the libraries read different packets from it; its text continues a sentence:
    ``cannot be read: ...``."""
    data = read_user_file(path, MAX_FILE_BYTES)
    if data[:4] != b"\x0a\x0d\x0d\x0a":
        raise NetwatchError("cannot be read: expected an evidence capture (pcapng)")
    logging.getLogger("scapy").setLevel(logging.CRITICAL)
    packets: list[CapturedPacket] = []
    comments: list[str] = []
    for section in _sections(data):
        first = _read(_by_dpkt, section, comments)
        second = _read(_by_scapy, section, [])
        if len(packets) + len(first) > MAX_PACKETS:
            raise NetwatchError(f"cannot be read: expected at most {MAX_PACKETS:,} packets")
        if first != second:
            pairs = enumerate(zip(first, second, strict=False))
            both = min(len(first), len(second))
            number = next((at for at, (one, other) in pairs if one != other), both)
            raise NetwatchError(
                f"cannot be read: dpkt and scapy differ on packet {len(packets) + number + 1}"
            )
        packets += first
    return EvidenceFile(tuple(packets), tuple(comments))


def _sections(data: bytes) -> Iterator[bytes]:
    """The sections of a file: each begins with a Section Header Block (section 4.1)."""
    start = 0
    for kind, at, _ in _blocks(data):
        if kind == _SECTION and at:
            yield data[start:at]
            start = at
    yield data[start:]


def _blocks(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The type, position and bytes of each block (section 3.1). Raises `NetwatchError`."""
    at, order = 0, "<"
    while at < len(data):
        if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            magic = data[at + 8 : at + 12]
            if magic not in (_LITTLE, _BIG):
                raise NetwatchError("cannot be read: expected a section of pcapng")
            order = "<" if magic == _LITTLE else ">"
        if len(data) - at < 12:
            raise NetwatchError("cannot be read: the last block is incomplete")
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if size < 12 or size % 4 or at + size > len(data):
            raise NetwatchError(f"cannot be read: the block at byte {at:,} is damaged or cut off")
        block = data[at : at + size]
        _check_options(kind, block, order)
        yield kind, at, block
        at += size


def _check_options(kind: int, block: bytes, order: str) -> None:
    """Raise `NetwatchError` for a block with many options (section 3.5): both libraries take
    quadratic time for them."""
    at = {_SECTION: 24, _INTERFACE: 16, _ENHANCED: 28}.get(kind, len(block))
    if kind == _ENHANCED and len(block) >= 28:
        captured = struct.unpack_from(f"{order}I", block, 20)[0]
        at += captured + -captured % 4
    for _ in range(MAX_OPTIONS):
        if at + 8 > len(block):
            return
        code, size = struct.unpack_from(f"{order}HH", block, at)
        if not code:
            return
        at += 4 + size + -size % 4
    raise NetwatchError(f"cannot be read: expected at most {MAX_OPTIONS} options in a block")


def _read(reader: Any, section: bytes, comments: list[str]) -> list[CapturedPacket]:
    """The library's result. It may fail on damaged bytes in any way."""
    try:
        packets: list[CapturedPacket] = reader(section, comments)
    except NetwatchError:
        raise
    except Exception as error:
        name = reader.__name__.removeprefix("_by_")
        raise NetwatchError(f"cannot be read: {name} fails ({type(error).__name__})") from None
    return packets


def _by_scapy(section: bytes, comments: list[str]) -> list[CapturedPacket]:
    from scapy.utils import RawPcapNgReader

    reader = RawPcapNgReader(io.BytesIO(section))  # type: ignore[arg-type]
    packets: list[CapturedPacket] = []
    while len(packets) <= MAX_PACKETS:
        try:
            data, about = reader._read_packet(MAX_FILE_BYTES)
        except EOFError:
            break
        if about.tshigh is None:
            continue  # a Simple Packet Block, which has no time
        ticks = about.tshigh << 32 | about.tslow
        texts = tuple(_text(comment) for comment in about.comments or ())
        time = ticks * _EPOCH_DIGITS // about.tsresol
        packets.append(CapturedPacket(time, about.linktype, bytes(data), about.wirelen, texts))
    return packets


def _by_dpkt(section: bytes, comments: list[str]) -> list[CapturedPacket]:
    from dpkt import pcapng  # type: ignore[import-untyped]

    little = section[8:12] == _LITTLE
    end = "LE" if little else ""
    interfaces: list[tuple[int, int]] = []
    packets: list[CapturedPacket] = []
    for kind, _, block in _blocks(section):
        if kind == _SECTION:
            header = getattr(pcapng, f"SectionHeaderBlock{end}")(block)
            comments += [_text(opt.data) for opt in header.opts if opt.code == _COMMENT]
        elif kind == _INTERFACE:
            described = getattr(pcapng, f"InterfaceDescriptionBlock{end}")(block)
            interfaces.append((described.linktype, _ticks(described.opts)))
        elif kind == _ENHANCED:
            read = getattr(pcapng, f"EnhancedPacketBlock{end}")(block)
            if read.iface_id >= len(interfaces):
                raise NetwatchError("cannot be read: a packet belongs to an unknown interface")
            link_type, resolution = interfaces[read.iface_id]
            texts = tuple(
                _text(each.data) for each in getattr(read, "opts", ()) if each.code == _COMMENT
            )
            ticks = read.ts_high << 32 | read.ts_low
            time = ticks * _EPOCH_DIGITS // resolution
            data = bytes(read.pkt_data)
            packets.append(CapturedPacket(time, link_type, data, read.pkt_len, texts))
            if len(packets) > MAX_PACKETS:
                break
    return packets


def _ticks(options: Any) -> int:
    """Ticks a second of an interface (section 4.2, if_tsresol)."""
    for option in options:
        if option.code == _RESOLUTION and option.data:
            value = option.data[0]
            return int((2 if value & 128 else 10) ** (value & 127))
        if option.code == _OFFSET:
            raise NetwatchError("cannot be read: expected times without an offset (if_tsoffset)")
    return 1_000_000


def _text(value: Any) -> str:
    return value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Client:
    """The claimed device of a contact."""

    ip: str
    mac: str | None
    vlan: int | None

    def __str__(self) -> str:
        vlan = None if self.vlan is None else f"VLAN {self.vlan}"
        return ", ".join(filter(None, (self.ip, self.mac, vlan)))


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact of an incident: what all comments on its packets share. `client` and `time` (ns)
    are None if the comments lack them."""

    type: str
    name: str
    incident: str
    client: Client | None
    time: int | None


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of evidence: its contact, the packet that shows it as source and number, the position
    of that packet in the file, and of the packets that are part of it."""

    contact: Contact
    source: str
    number: int
    frame: int
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a file: its pieces, the ids of its incidents, and the digests of its packets by
    their position. `unknown` are the packets without a comment of netwatch, `orphans` those that
    are part of a contact without a packet that shows it."""

    pieces: tuple[Piece, ...]
    incidents: frozenset[str]
    digests: Mapping[int, frozenset[str]]
    unknown: tuple[int, ...]
    orphans: tuple[tuple[int, Contact], ...]


def claims_of(name: str, file: EvidenceFile) -> Claims:
    """The claims of an evidence capture; `name` is the file's. Raises `NetwatchError` if it makes
    none."""
    shown: list[tuple[Contact, str, int, int]] = []
    parts: dict[Contact, list[int]] = {}
    digests: dict[int, set[str]] = {}
    unknown: list[int] = []
    count = 0
    for at, packet in enumerate(file.packets):
        matches = list(filter(None, map(_PIECE.fullmatch, packet.comments)))
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
        section["incident"] for text in file.comments if (section := _OF_INCIDENT.match(text))
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
        if match["ip"]:  # a pseudonym is not in the packet
            client = Client(match["ip"], match["mac"], vlan)
        try:
            time = epoch_ns(match["time"])
        except ValueError:  # such as the 31st of February
            time = -1
    return Contact(match["type"], match["name"], match["incident"], client, time)


@dataclass(frozen=True, slots=True)
class AlertPiece:
    """A piece of evidence in an alert. `time` is RFC 3339 with the precision of the capture. `seen`
    is how it was seen, by the keys of the record; empty if the alert lacks it."""

    type: str
    name: str
    source: str
    number: int
    time: str
    seen: Mapping[str, object]

    def is_at(self, time: int) -> bool:
        """Whether a time in ns is this one, with the precision in which it is written."""
        digits = len(self.time.partition(".")[2].removesuffix("Z"))
        unit = 10 ** (9 - min(digits, 9))
        try:
            return bool(epoch_ns(self.time) == time // unit * unit)
        except ValueError:
            return False


def alert_pieces(record: Mapping[str, Any]) -> Iterator[AlertPiece]:
    """The evidence in an alert's record, except from logs. Raises `NetwatchError` if the record is
    not an alert's."""
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
