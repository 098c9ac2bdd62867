"""Floods that a live capture has to survive, with contacts to banned names among them.

The floods: SYNs from random addresses, incomplete ClientHellos, DNS queries for random names (also
below a banned domain), incomplete fragments, QUIC Initials that cannot be decrypted, and new
devices all the time. At intervals a *probe*, a device with an address that no other packet has,
contacts a banned name: by a DNS query, by a ClientHello in one segment, by one in two segments
with packets of the flood between them, or by a QUIC ClientHello.
"""

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shared import handshakes, messages

BANNED = "www.tiktok.com"
START = 1679299200 * 10**6
"""2023-03-20T08:00:00Z in microseconds, when the ban of the sample configuration is in force."""
GAP = 10
"""Microseconds between packets."""
PROBES = 200
"""Number of probes."""
PACKETS_BETWEEN_SEGMENTS = 20
"""Packets of the flood between the two segments of a ClientHello."""
SERVER = bytes([203, 0, 113, 10])
MACS = bytes.fromhex("02005e002001 020000000001")


def ip(src: bytes, protocol: int, data: bytes, ident: int = 0, fragment: int = 0x4000) -> bytes:
    """An Ethernet frame with an IPv4 packet to the server, without checksums."""
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(data), ident, fragment, 64, protocol, 0)
    return MACS + b"\x08\x00" + head + src + SERVER + data


def udp(src: bytes, sport: int, dport: int, data: bytes) -> bytes:
    """A UDP datagram to the server."""
    return ip(src, 17, struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data)


def tcp(src: bytes, sport: int, seq: int, data: bytes, flags: int = 0x5018) -> bytes:
    """A TCP segment to port 443 of the server."""
    return ip(src, 6, struct.pack(">HHIIHHHH", sport, 443, seq, 1, flags, 64240, 0, 0) + data)


def random_client(rng: random.Random) -> bytes:
    """An address of the network that no probe has."""
    return bytes([10, rng.randrange(64, 256)]) + rng.randbytes(2)


def syn(rng: random.Random, number: int) -> bytes:
    """A SYN from a random address."""
    return tcp(rng.randbytes(4), rng.randrange(1024, 65536), rng.getrandbits(32), b"", 0x5002)


def half_open(rng: random.Random, number: int) -> bytes:
    """The first segment of a ClientHello that is never completed."""
    return tcp(random_client(rng), rng.randrange(1024, 65536), 1, _LARGE[:1200])


def subdomains(rng: random.Random, number: int) -> bytes:
    """A DNS query for a random name below a domain that is not banned."""
    return _lookup(rng, random_client(rng), b"\x06victim\x07example\x00")


def banned_subdomains(rng: random.Random, number: int) -> bytes:
    """A DNS query for a random name below a banned domain, always by the same device."""
    return _lookup(rng, bytes([10, 20, 66, 66]), b"\x06tiktok\x03com\x00")


def _lookup(rng: random.Random, src: bytes, domain: bytes) -> bytes:
    label = rng.randbytes(6).hex().encode()
    head = struct.pack(">6H", rng.getrandbits(16), 0x0100, 1, 0, 0, 0)
    return udp(src, rng.randrange(1024, 65536), 53, head + b"\x0c" + label + domain + b"\0\1\0\1")


def fragments(rng: random.Random, number: int) -> bytes:
    """The first fragment of a datagram that is never completed."""
    return ip(random_client(rng), 17, _FRAGMENT, rng.getrandbits(16), 0x2000)


def initials(rng: random.Random, number: int) -> bytes:
    """A QUIC Initial with random bytes as its protected payload."""
    head = b"\xc3\0\0\0\1\x08" + rng.randbytes(8) + b"\0\0\x44\x9e"
    return udp(random_client(rng), rng.randrange(1024, 65536), 443, head + _NOISE)


def devices(rng: random.Random, number: int) -> bytes:
    """An ARP request by a new device, then a ClientHello by it."""
    which = number // 2
    address = bytes([10, 64 + (which >> 16 & 127), which >> 8 & 255, which & 255])
    mac = b"\x02\x01" + which.to_bytes(4, "big")
    if number % 2:
        frame = tcp(address, 40000, 1, _SMALL)
        return frame[:6] + mac + frame[12:]
    request = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + mac + address + bytes(6) + address
    return b"\xff" * 6 + mac + b"\x08\x06" + request


@dataclass(frozen=True, slots=True)
class Flood:
    """A kind of flood: the packet with a number, the counter that has to count the flood (none if
    it fills no table), how many packets that takes at least, and how many are measured."""

    frame: Callable[[random.Random, int], bytes]
    counter: str
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
    """A flood of some packets with some probes among them."""

    kind: str
    packets: int
    probes: int = PROBES
    seed: int = 1

    def frames(self) -> Iterator[bytes]:
        """All packets in order."""
        flood, rng = FLOODS[self.kind].frame, random.Random(self.seed)
        step = max(PACKETS_BETWEEN_SEGMENTS + 1, self.packets // self.probes)
        delayed: tuple[int, bytes] | None = None
        probe = 0
        for number in range(self.packets):
            if number % step == step // 2 and probe < self.probes:
                first, *rest = probe_packets(probe, rng)
                yield first
                delayed = (number + PACKETS_BETWEEN_SEGMENTS, rest[0]) if rest else delayed
                probe += 1
            if delayed is not None and number >= delayed[0]:
                yield delayed[1]
                delayed = None
            yield flood(rng, number)
        if delayed is not None:
            yield delayed[1]

    def capture(self) -> Iterator[bytes]:
        """The same as a pcap, in chunks of some hundred packets."""
        piece = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for number, frame in enumerate(self.frames()):
            seconds, rest = divmod(START + number * GAP, 10**6)
            piece += struct.pack("<4I", seconds, rest, len(frame), len(frame)) + frame
            if len(piece) > 1 << 16:
                yield bytes(piece)
                piece.clear()
        yield bytes(piece)


def probe_packets(probe: int, rng: random.Random) -> list[bytes]:
    """The packets by which a probe contacts the banned name."""
    src = probe_address(probe)
    kind = probe % 4
    if kind == 0:
        return [udp(src, 40000, 53, messages.query(probe, BANNED, "A"))]
    if kind == 3:
        datagrams = handshakes.quic_hello(handshakes.QUIC_V1, BANNED, rng)
        return [udp(src, 40000, 443, datagram) for datagram in datagrams]
    hello = handshakes.records(handshakes.client_hello(BANNED, rng, post_quantum=kind == 2))
    return [tcp(src, 40000, 1 + at, hello[at : at + 1400]) for at in range(0, len(hello), 1400)]


def probe_address(probe: int) -> bytes:
    """The address of a probe."""
    return bytes([10, 20, 100 + probe // 250, 1 + probe % 250])
