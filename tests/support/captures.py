"""Captures as bytes and as blocks, and what is read of them."""

import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from netwatch.capture.block import Block, Interface
from netwatch.core.message import Message
from netwatch.core.observation import Observation
from netwatch.dissect.dissector import Dissector
from netwatch.dissect.loop.layout import ROW_COLUMNS
from netwatch.dissect.loop.loop import Loop
from netwatch.engine.observe import observe
from netwatch.protocols import PROTOCOLS, looks_like

START = 1_679_302_800_000_000_000
"""20 March 2023, 10:00 in Brussels, ns."""

Frames = Sequence[tuple[int, bytes]]
"""Packets with their times in ns."""


def timed(packets: Iterable[bytes], start: int = START, gap: int = 1_000_000) -> Frames:
    """Packets a millisecond apart."""
    return [(start + number * gap, packet) for number, packet in enumerate(packets)]


def block(frames: Frames, link: int = 1, *, snap: int = 1 << 18, first: int = 1) -> Block:
    """Frames as a source gives them, cut to `snap` bytes."""
    data = bytearray()
    records = array("q")
    for time, frame in frames:
        kept = frame[:snap]
        records.extend((time, len(data), len(kept), len(frame), 0, -1))
        data += kept
    return Block(bytes(data), records, len(frames), (Interface(link, 9),), first, len(data))


class Row(NamedTuple):
    """A row of the loop, by the names of `netwatch.dissect.loop.loop.COLUMNS`."""

    kind: int
    record: int
    at: int
    size: int
    wire: int
    sport: int
    dport: int
    addr: int
    addr_size: int
    src_mac: int
    dst_mac: int
    vlan: int
    seq: int
    flow: int
    side: int
    proto: int
    prefiltered: int


def rows(loop: Loop, frames: Frames, link: int = 1) -> list[Row]:
    """The candidates among these frames."""
    parts = loop.walk(block(frames, link))
    return [Row(*part[at : at + ROW_COLUMNS]) for part in parts for at in range(0, len(part), ROW_COLUMNS)]


def dissector(wanted: Callable[[Message], bool] | None = None) -> Dissector:
    """One with the real parsers, of messages that are `wanted`."""
    return Dissector(PROTOCOLS, looks_like, wanted)


def observed(
    frames: Frames, link: int = 1, *, snap: int = 1 << 18, by: Dissector | None = None
) -> list[Observation]:
    """All names of a capture of these frames."""
    reader = by or dissector()
    found = list(reader.messages(block(frames, link, snap=snap), "test"))
    found += reader.flush()
    return [observation for pair in found for observation in observe(*pair)]


def pcap(
    frames: Frames, link: int = 1, *, order: str = "<", nanos: bool = False, snap: int = 1 << 18
) -> bytes:
    """A classic capture file (draft-ietf-opsawg-pcap)."""
    magic, unit = (0xA1B23C4D, 1) if nanos else (0xA1B2C3D4, 1000)
    out = bytearray(struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snap, link))
    for time, frame in frames:
        seconds, rest = divmod(time, 10**9)
        kept = frame[:snap]
        out += struct.pack(order + "4I", seconds, rest // unit, len(kept), len(frame)) + kept
    return bytes(out)


def section(order: str = "<") -> bytes:
    """A pcapng section header block."""
    return _block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(
    link: int = 1, *, order: str = "<", resolution: int = 6, offset: int = 0, snap: int = 0
) -> bytes:
    """A pcapng interface with if_tsresol and, where not 0, if_tsoffset."""
    options = struct.pack(order + "HHB3x", 9, 1, resolution)
    if offset:
        options += struct.pack(order + "HHq", 14, 8, offset)
    body = struct.pack(order + "HHI", link, 0, snap) + options + bytes(4)
    return _block(order, 1, body)


def enhanced(
    frame: bytes, ticks: int, *, on: int = 0, order: str = "<", obsolete: bool = False
) -> bytes:
    """An enhanced packet block, or the obsolete one before it."""
    high, low = ticks >> 32, ticks & 0xFFFFFFFF
    sizes = (len(frame), len(frame))
    if obsolete:
        return _block(order, 2, struct.pack(order + "HH4I", on, 0, high, low, *sizes) + frame)
    return _block(order, 6, struct.pack(order + "5I", on, high, low, *sizes) + frame)


def simple(frame: bytes, *, order: str = "<") -> bytes:
    """A simple packet block, which has no time."""
    return _block(order, 3, struct.pack(order + "I", len(frame)) + frame)


def unknown(order: str = "<") -> bytes:
    """A block of a type that nobody has assigned."""
    return _block(order, 0x0BAD, b"not for us")


def _block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size
