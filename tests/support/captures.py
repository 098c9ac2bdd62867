"""Captures as bytes and as blocks, and what a dissector reads from them."""

import struct
from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from support.observing import read

from netwatch.capture.block import Block, Interface
from netwatch.core.flow import FlowClient
from netwatch.core.message import Message, Observation
from netwatch.dissect.consumer import DissectorOptions, WantsEverything
from netwatch.dissect.dissector import Dissector
from netwatch.dissect.flows.accounting import FlowOptions
from netwatch.dissect.loop.layout import ROW_COLUMNS
from netwatch.dissect.loop.loop import Loop
from netwatch.protocols import PROTOCOLS, detect_stream_kind

START = 1_679_302_800_000_000_000
"""20 March 2023, 10:00 in Brussels, ns."""

Frames = Sequence[tuple[int, bytes]]
"""Packets with their times, in ns since the epoch."""


def timed(packets: Iterable[bytes], start: int = START, gap: int = 1_000_000) -> Frames:
    """Packets a millisecond apart."""
    return [(start + number * gap, packet) for number, packet in enumerate(packets)]


def block(frames: Frames, link: int = 1, *, snap: int = 1 << 18, first: int = 1) -> Block:
    """A block with these frames, as a source yields it; `snap` is the snap length."""
    data = bytearray()
    records = array("q")
    for time, frame in frames:
        captured = frame[:snap]
        records.extend((time, len(data), len(captured), len(frame), 0, -1))
        data += captured
    return Block(bytes(data), records, len(frames), (Interface(link, 9),), first, len(data))


class Row(NamedTuple):
    """A candidate row, with names for the columns of `netwatch.dissect.loop.layout` (``ROW_``)."""

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
    observations: int
    owner: int
    mark: int


def rows(loop: Loop, frames: Frames, link: int = 1) -> list[Row]:
    """The candidates among these frames."""
    parts = loop.walk(block(frames, link))
    return [
        Row(*part[at : at + ROW_COLUMNS])
        for part in parts
        for at in range(0, len(part), ROW_COLUMNS)
    ]


class CallableConsumer(WantsEverything):
    """A consumer that wants everything, except for the questions that functions answer."""

    def __init__(self, **functions: Callable | None) -> None:
        for name, function in functions.items():
            if function is not None:
                setattr(self, name, function)


def dissector(
    wanted: Callable[[Message], bool] | None = None,
    *,
    name_status: Callable[[Message], int] | None = None,
    keeps_frames_for: Callable[[bytes], bool] | None = None,
    domains: Sequence[bytes] | None = None,
    learn_from: Collection[str] = (),
    parse_all: bool = True,
    flows_counted: Callable[[FlowClient, str, int, Sequence[int]], None] | None = None,
) -> Dissector:
    """A dissector with all protocols. With `name_status` it reports flows, with
    `keeps_frames_for` it keeps frames; unless it is to `parse_all`, the packet loop itself reads
    messages that are laid out as usual."""
    consumer = CallableConsumer(
        wanted=wanted,
        name_status=name_status,
        keeps_frames_for=keeps_frames_for,
        flows_counted=flows_counted,
    )
    options = DissectorOptions(
        domains=domains,
        learn_from=learn_from,
        flows=FlowOptions(report_all=True) if name_status is not None else None,
        keep_frames=keeps_frames_for is not None,
        parse_all=parse_all,
        fingerprints=True,
    )
    return Dissector(PROTOCOLS, detect_stream_kind, consumer, options)


def observed(
    frames: Frames, link: int = 1, *, snap: int = 1 << 18, by: Dissector | None = None
) -> list[Observation]:
    """All observations of a capture with these frames."""
    reader = by or dissector(parse_all=False)
    found = list(read(reader, reader.messages(block(frames, link, snap=snap), "test")))
    return [*found, *read(reader, reader.flush())]


def pcap(
    frames: Frames, link: int = 1, *, order: str = "<", nanos: bool = False, snap: int = 1 << 18
) -> bytes:
    """A classic capture file (draft-ietf-opsawg-pcap)."""
    magic, unit = (0xA1B23C4D, 1) if nanos else (0xA1B2C3D4, 1000)
    out = bytearray(struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snap, link))
    for time, frame in frames:
        seconds, rest = divmod(time, 10**9)
        captured = frame[:snap]
        out += struct.pack(order + "4I", seconds, rest // unit, len(captured), len(frame))
        out += captured
    return bytes(out)


def section(order: str = "<") -> bytes:
    """A pcapng section header block."""
    return _block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(
    link: int = 1, *, order: str = "<", resolution: int = 6, offset: int = 0, snap: int = 0
) -> bytes:
    """A pcapng interface description block with if_tsresol and, unless it is 0, if_tsoffset."""
    options = struct.pack(order + "HHB3x", 9, 1, resolution)
    if offset:
        options += struct.pack(order + "HHq", 14, 8, offset)
    body = struct.pack(order + "HHI", link, 0, snap) + options + bytes(4)
    return _block(order, 1, body)


def enhanced(
    frame: bytes, ticks: int, *, on: int = 0, order: str = "<", obsolete: bool = False
) -> bytes:
    """An enhanced packet block, or the obsolete packet block that it replaced."""
    high, low = ticks >> 32, ticks & 0xFFFFFFFF
    sizes = (len(frame), len(frame))
    if obsolete:
        return _block(order, 2, struct.pack(order + "HH4I", on, 0, high, low, *sizes) + frame)
    return _block(order, 6, struct.pack(order + "5I", on, high, low, *sizes) + frame)


def simple(frame: bytes, *, order: str = "<") -> bytes:
    """A simple packet block, which has no timestamp."""
    return _block(order, 3, struct.pack(order + "I", len(frame)) + frame)


def unknown(order: str = "<") -> bytes:
    """A block of an unassigned type."""
    return _block(order, 0x0BAD, b"not for us")


def _block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size
