"""The packets that prove an incident, as scapy prints their layers.

For an evidence capture all packets of each piece of evidence are shown; for another capture the
packets that the evidence names. Output that is too long is cut, with a note.
"""

import gzip
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from netwatch.core.errors import NetwatchError
from netwatch.core.text import escaped, quantity
from netwatch.formats.values import rfc3339
from netwatch.verify import messages, quic
from netwatch.verify.evidence_file import CapturedPacket, Claims, EvidenceFile
from netwatch.verify.flows import Flows, guarded
from netwatch.verify.scapy_reader import ScapyReader, dissect, hello_layers

MAX_SHOWN = 64
"""Packets to show."""

MAX_PACKET_LINES = 160
"""Lines of one packet."""

MAX_LINE = 110
"""Characters of a line."""

MAX_READ = 20_000_000
"""Packets of a capture to read for those that evidence names."""


_UDP = 17


@dataclass(frozen=True, slots=True)
class Named:
    """A packet named by evidence: what it shows, and where it came from."""

    type: str
    name: str
    source: str
    number: int


def evidence_lines(file: EvidenceFile, claims: Claims, incident: str) -> Iterator[str]:
    """The packets of each piece of evidence of an incident, in the order of the file, each once."""
    shown: dict[int, str] = {}
    for piece in claims.pieces:
        if piece.contact.incident != incident:
            continue
        what = f"{piece.contact.type} {piece.contact.name}"
        for at in piece.parts:
            shown.setdefault(at, f"part of {what}")
        shown[piece.frame] = f"{what}, {piece.source}#{piece.number}"
    flows = Flows(ScapyReader(), file.packets)
    for at in sorted(shown)[:MAX_SHOWN]:
        yield from _packet(f"packet {at + 1}: {shown[at]}", file.packets[at])
        yield from _opened(at, flows)
    yield from _left_out(len(shown))


def capture_lines(path: Path, named: Collection[Named]) -> Iterator[str]:
    """The packets of a capture that evidence names. Raises `NetwatchError` if scapy does not
    read it."""
    packets = _read(path, {each.number for each in named})
    by_number: dict[int, list[str]] = {}
    for each in named:
        by_number.setdefault(each.number, []).append(f"{each.type} {each.name}")
    for number in sorted(by_number)[:MAX_SHOWN]:
        what = "; ".join(by_number[number])
        if number in packets:
            yield from _packet(f"packet {number}: {what}", packets[number])
        else:
            yield f"packet {number}: {what}: not in {escaped(str(path))}"
    yield from _left_out(len(by_number))


def _read(path: Path, numbers: Collection[int]) -> Mapping[int, CapturedPacket]:
    packets: dict[int, CapturedPacket] = {}
    try:
        # scapy does not close a file that it cannot read.
        with path.open("rb") as stream, _reader(stream) as reader:
            for number, (data, about) in enumerate(reader, 1):
                if number in numbers:
                    packets[number] = _captured(data, about, reader)
                if len(packets) == len(numbers) or number >= MAX_READ:
                    break
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be read: {error.strerror}") from None
    except Exception as error:
        raise NetwatchError(f"{path}: scapy cannot read it: {error}") from None
    return packets


def _reader(stream: BinaryIO) -> Any:
    from scapy.utils import RawPcapReader

    compressed = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    reader: Any = RawPcapReader
    return reader(gzip.open(stream) if compressed else stream)


def _captured(data: bytes, about: Any, reader: Any) -> CapturedPacket:
    if hasattr(about, "sec"):
        unit = 1 if reader.nano else 1000
        time = about.sec * 1_000_000_000 + about.usec * unit
        return CapturedPacket(time, reader.linktype, data, about.wirelen, ())
    ticks = (about.tshigh or 0) << 32 | (about.tslow or 0)
    time = ticks * 1_000_000_000 // about.tsresol
    return CapturedPacket(time, about.linktype, data, about.wirelen, ())


def _packet(heading: str, packet: CapturedPacket) -> Iterator[str]:
    octets = quantity(len(packet.data), "byte")
    yield ""
    yield f"{escaped(heading)}, {rfc3339(packet.time, 9)}, {octets}"
    layers = guarded(dissect, packet.link_type, packet.data)
    if layers is None:
        yield f"  scapy does not read packets of link type {packet.link_type}"
        return
    yield from _layers(layers)


def _opened(at: int, flows: Flows) -> Iterator[str]:
    """The ClientHello that a packet completes: scapy leaves QUIC encrypted, and reads no hello in
    several segments."""
    datagram = flows.by_frame.get(at)
    if datagram is None:
        return
    if datagram.ip.protocol == _UDP:
        sent = flows.sent_before(datagram)
        found = guarded(quic.client_hello, [each.segment.payload for each in sent])
        if found is not None and sent[max(found[1])].frames[-1] == at:
            yield "  ClientHello, opened by RFC 9001 section 5:"
            yield from _layers(guarded(hello_layers, found[0]))
        return
    for stream in flows.streams(datagram):
        spans = guarded(lambda data: list(messages.client_hellos(data)), stream.data)
        for hello, low, high in spans or ():
            if max(stream.frames_of(low, high)) == at:
                yield "  ClientHello, put together from its segments and records:"
                yield from _layers(guarded(hello_layers, hello))
                return


def _layers(layers: Any) -> Iterator[str]:
    text = None if layers is None else guarded(layers.show, dump=True)
    if text is None:
        yield "  scapy cannot print it"
        return
    lines = str(text).splitlines()
    for line in lines[:MAX_PACKET_LINES]:
        yield f"  {_cut(escaped(line))}"
    if len(lines) > MAX_PACKET_LINES:
        yield f"  … {quantity(len(lines) - MAX_PACKET_LINES, 'more line')}"


def _cut(line: str) -> str:
    return line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 1]}…"


def _left_out(count: int) -> Iterator[str]:
    if count > MAX_SHOWN:
        yield ""
        yield f"… {quantity(count - MAX_SHOWN, 'more packet')}"
