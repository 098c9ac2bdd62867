"""Floods that a live capture may meet, with banned names in between.

SYNs from random addresses, hellos that are never finished, lookups of random names, also
below a banned domain, fragments that never become whole, QUIC Initials that do not decrypt,
ever new devices. Every now and then a device of its own shows a banned name: in a lookup,
in a hello of one segment, in one of two with flood between them, in a QUIC hello.
"""

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shared import handshakes, messages

BANNED = "www.tiktok.com"
START = 1679299200 * 10**6
"""2023-03-20T08:00:00Z in microseconds: the sample configuration's ban is in force."""
GAP = 10
"""Microseconds between packets."""
MARKS = 200
"""Devices that show the banned name."""
APART = 20
"""Packets of the flood between the two segments of a hello."""
SERVER = bytes([203, 0, 113, 10])
MACS = bytes.fromhex("02005e002001 020000000001")


def ip(src: bytes, protocol: int, data: bytes, ident: int = 0, fragment: int = 0x4000) -> bytes:
    """An Ethernet frame with an IPv4 packet to the server; nobody looks at its checksum."""
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(data), ident, fragment, 64, protocol, 0)
    return MACS + b"\x08\x00" + head + src + SERVER + data


def udp(src: bytes, sport: int, dport: int, data: bytes) -> bytes:
    """A datagram to the server."""
    return ip(src, 17, struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data)


def tcp(src: bytes, sport: int, seq: int, data: bytes, flags: int = 0x5018) -> bytes:
    """A segment to the server's port 443."""
    return ip(src, 6, struct.pack(">HHIIHHHH", sport, 443, seq, 1, flags, 64240, 0, 0) + data)


def someone(rng: random.Random) -> bytes:
    """An address of the network, but none that marks have."""
    return bytes([10, rng.randrange(64, 256)]) + rng.randbytes(2)


def syn(rng: random.Random, number: int) -> bytes:
    """A connection is asked for, from anywhere."""
    return tcp(rng.randbytes(4), rng.randrange(1024, 65536), rng.getrandbits(32), b"", 0x5002)


def half_open(rng: random.Random, number: int) -> bytes:
    """The first segment of a hello that is never finished."""
    return tcp(someone(rng), rng.randrange(1024, 65536), 1, _LARGE[:1200])


def subdomains(rng: random.Random, number: int) -> bytes:
    """A lookup of a random name below a domain that nobody bans."""
    return _lookup(rng, someone(rng), b"\x06victim\x07example\x00")


def banned_subdomains(rng: random.Random, number: int) -> bytes:
    """A lookup of a random name below a banned domain, all by one device."""
    return _lookup(rng, bytes([10, 20, 66, 66]), b"\x06tiktok\x03com\x00")


def _lookup(rng: random.Random, src: bytes, domain: bytes) -> bytes:
    label = rng.randbytes(6).hex().encode()
    head = struct.pack(">6H", rng.getrandbits(16), 0x0100, 1, 0, 0, 0)
    return udp(src, rng.randrange(1024, 65536), 53, head + b"\x0c" + label + domain + b"\0\1\0\1")


def fragments(rng: random.Random, number: int) -> bytes:
    """The first fragment of a datagram that never becomes whole."""
    return ip(someone(rng), 17, _FRAGMENT, rng.getrandbits(16), 0x2000)


def initials(rng: random.Random, number: int) -> bytes:
    """A QUIC Initial whose inside is noise."""
    head = b"\xc3\0\0\0\1\x08" + rng.randbytes(8) + b"\0\0\x44\x9e"
    return udp(someone(rng), rng.randrange(1024, 65536), 443, head + _NOISE)


def devices(rng: random.Random, number: int) -> bytes:
    """A new device shows its address, then sends a hello."""
    which = number // 2
    address = bytes([10, 64 + (which >> 16 & 127), which >> 8 & 255, which & 255])
    mac = b"\x02\x01" + which.to_bytes(4, "big")
    if number % 2:
        frame = tcp(address, 40000, 1, _SMALL)
        return frame[:6] + mac + frame[12:]
    asks = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + mac + address + bytes(6) + address
    return b"\xff" * 6 + mac + b"\x08\x06" + asks


@dataclass(frozen=True, slots=True)
class Flood:
    """One kind of flood: its packets by number, what has to be counted (nothing where no
    table is filled), how many packets that takes, and how many are measured."""

    frame: Callable[[random.Random, int], bytes]
    counted: str
    short: int
    long: int


FLOODS = {
    "syn": Flood(syn, "flow-table-full", 80_000, 2_000_000),
    "half-open": Flood(half_open, "tcp-streams-full", 8_000, 300_000),
    "subdomains": Flood(subdomains, "", 20_000, 2_000_000),
    "banned-subdomains": Flood(banned_subdomains, "incident-names", 5_000, 300_000),
    "fragments": Flood(fragments, "ip-fragments-incomplete", 5_000, 300_000),
    "initials": Flood(initials, "quic-not-decrypted", 5_000, 300_000),
    "devices": Flood(devices, "devices-full", 140_000, 2_000_000),
}

_RNG = random.Random(7)
_LARGE = handshakes.records(handshakes.client_hello("www.example.org", _RNG, post_quantum=True))
_SMALL = handshakes.records(handshakes.client_hello("www.example.org", _RNG))
_FRAGMENT = struct.pack(">HHHH", 40000, 443, 4000, 0) + _RNG.randbytes(1192)
_NOISE = _RNG.randbytes(1182)


@dataclass(frozen=True, slots=True)
class Load:
    """A flood: so many packets, with so many devices in between that show a banned name."""

    kind: str
    packets: int
    marks: int = MARKS
    seed: int = 1

    def frames(self) -> Iterator[bytes]:
        """All packets in their order."""
        flood, rng = FLOODS[self.kind].frame, random.Random(self.seed)
        step = max(APART + 1, self.packets // self.marks)
        later: tuple[int, bytes] | None = None
        mark = 0
        for number in range(self.packets):
            if number % step == step // 2 and mark < self.marks:
                first, *rest = shown(mark, rng)
                yield first
                later = (number + APART, rest[0]) if rest else later
                mark += 1
            if later is not None and number >= later[0]:
                yield later[1]
                later = None
            yield flood(rng, number)
        if later is not None:
            yield later[1]

    def capture(self) -> Iterator[bytes]:
        """The same as a pcap, in pieces of some hundred packets."""
        piece = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for number, frame in enumerate(self.frames()):
            seconds, rest = divmod(START + number * GAP, 10**6)
            piece += struct.pack("<4I", seconds, rest, len(frame), len(frame)) + frame
            if len(piece) > 1 << 16:
                yield bytes(piece)
                piece.clear()
        yield bytes(piece)


def shown(mark: int, rng: random.Random) -> list[bytes]:
    """The packets by which a device of its own shows the banned name."""
    src = address(mark)
    kind = mark % 4
    if kind == 0:
        return [udp(src, 40000, 53, messages.query(mark, BANNED, "A"))]
    if kind == 3:
        datagrams = handshakes.quic_hello(handshakes.QUIC_V1, BANNED, rng)
        return [udp(src, 40000, 443, datagram) for datagram in datagrams]
    hello = handshakes.records(handshakes.client_hello(BANNED, rng, post_quantum=kind == 2))
    return [tcp(src, 40000, 1 + at, hello[at : at + 1400]) for at in range(0, len(hello), 1400)]


def address(mark: int) -> bytes:
    """The address of a device that shows the banned name."""
    return bytes([10, 20, 100 + mark // 250, 1 + mark % 250])
