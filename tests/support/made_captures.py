"""Captures made by hand, byte for byte, for the tests of the readers."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from netwatch.capture.block import FIELDS, Interface
from netwatch.capture.files import open_source

SECOND = 1_700_000_000
PACKETS = tuple(bytes([65 + n]) * (n * 7 % 40 + 1) for n in range(9))


@dataclass(frozen=True)
class Row:
    number: int
    time: int
    data: bytes
    wire: int
    interface: Interface


def pcap(
    packets: Sequence[bytes] = PACKETS,
    order: str = "<",
    magic: int = 0xA1B2C3D4,
    snaplen: int = 262144,
    network: int = 1,
    version: tuple[int, int] = (2, 4),
    *,
    extra: bytes | None = None,
    swapped: bool = False,
    behind: bytes = b"",
) -> bytes:
    """Packet n is taken n seconds and n + 1 units after SECOND, 5 bytes longer on the wire.

    `extra` is what a record header has besides, for the magic 0xA1B2CD34 that of A. Kuznetzov's
    patch; `swapped` puts the length on the wire first."""
    if extra is None:
        extra = kuznetzov(order) if magic == 0xA1B2CD34 else b""
    out = [struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, network), behind]
    for n, data in enumerate(packets):
        lengths = (len(data) + 5, len(data)) if swapped else (len(data), len(data) + 5)
        out += [struct.pack(order + "IIII", SECOND + n, n + 1, *lengths)]
        out += [extra, data]
    return b"".join(out)


def kuznetzov(order: str = "<", *, more: bytes = b"\0") -> bytes:
    """Index of the interface, EtherType, kind of packet, and padding; five bytes in SuSE 6.3."""
    return struct.pack(order + "IHB", 2, 0x0800, 0) + more


def nokia(order: str = "<") -> bytes:
    """The four bytes of Nokia's routers."""
    return struct.pack(order + "I", 0x9FBFB601)


def block(kind: int, body: bytes, order: str = "<", second: int | None = None) -> bytes:
    body += bytes(-len(body) % 4)
    size = len(body) + 12
    end = size if second is None else second
    return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", end)


def section(order: str = "<", version: int = 1) -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, version, 0, -1), order)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def interface(
    order: str = "<", link: int = 1, snaplen: int = 0, options: Iterable[tuple[int, bytes]] = ()
) -> bytes:
    body = struct.pack(order + "HHI", link, 0, snaplen)
    written = b"".join(option(code, value, order) for code, value in options)
    return block(1, body + (written and written + bytes(4)), order)


def enhanced(data: bytes, ticks: int, order: str = "<", on: int = 0, options: bytes = b"") -> bytes:
    head = struct.pack(
        order + "IIIII", on, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data) + 5
    )
    return block(6, head + data + bytes(-len(data) % 4) + options, order)


def dropcount(lost: int, order: str = "<") -> bytes:
    """epb_dropcount behind a comment, and the end of options."""
    return option(1, b"abc", order) + option(4, struct.pack(order + "Q", lost), order) + bytes(4)


def obsolete(data: bytes, ticks: int, order: str = "<", on: int = 0) -> bytes:
    head = struct.pack(
        order + "HHIIII", on, 3, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data) + 5
    )
    return block(2, head + data, order)


def simple(data: bytes, wire: int, order: str = "<") -> bytes:
    return block(3, struct.pack(order + "I", wire) + data, order)


def pcapng(packets: Sequence[bytes] = PACKETS, order: str = "<") -> bytes:
    """The same packets at the same times (in µs) as `pcap` has them."""
    blocks = [section(order), interface(order)]
    for n, data in enumerate(packets):
        blocks.append(enhanced(data, (SECOND + n) * 1_000_000 + n + 1, order))
    return b"".join(blocks)


def read(path: Path | str) -> tuple[list[Row], list[str]]:
    """All packets of a file and the notes on it; checks what every block promises."""
    source = open_source(str(path))
    rows: list[Row] = []
    position = 0
    for found in source.blocks():
        assert found.count > 0
        assert len(found.records) >= found.count * FIELDS
        assert found.position >= position
        position = found.position
        for n in range(found.count):
            time, at, captured, wire, index, vlan = found.records[n * FIELDS : (n + 1) * FIELDS]
            assert vlan == -1
            assert 0 <= at <= at + captured <= len(found.data)
            rows.append(
                Row(
                    found.first + n,
                    time,
                    bytes(found.data[at : at + captured]),
                    wire,
                    found.interfaces[index],
                )
            )
    return rows, source.notes
