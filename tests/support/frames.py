"""Packets by scapy, and the header of every link type to put before them."""

import struct
from dataclasses import dataclass
from functools import lru_cache

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

CLIENT, SERVER = "10.20.1.7", "203.0.113.10"
CLIENT6, SERVER6 = "2001:db8:20::7", "2001:db8:ffff::10"
MAC, GATEWAY = "02:00:00:20:01:07", "02:00:5e:00:20:01"


def ip(src: str = CLIENT, dst: str = SERVER, **fields: object) -> Packet:
    """The network header between two addresses of one version."""
    return IPv6(src=src, dst=dst, **fields) if ":" in src else IP(src=src, dst=dst, **fields)


def tcp(
    data: bytes = b"",
    *,
    seq: int = 1001,
    flags: str = "PA",
    src: str = CLIENT,
    sport: int = 50000,
    dst: str = SERVER,
    dport: int = 443,
) -> bytes:
    """One segment with the headers before it, its checksums those of an empty one."""
    head = bytearray(_tcp(flags, src, dst))
    if head[0] >> 4 == 4:
        struct.pack_into(">H", head, 2, len(head) + len(data))
    else:
        struct.pack_into(">H", head, 4, len(head) + len(data) - 40)
    struct.pack_into(">HHI", head, len(head) - 20, sport, dport, seq % 2**32)
    return bytes(head) + data


@lru_cache
def _tcp(flags: str, src: str, dst: str) -> bytes:
    return bytes(ip(src, dst) / TCP(flags=flags, ack=1))


def udp(
    data: bytes,
    *,
    src: str = CLIENT,
    sport: int = 50000,
    dst: str = SERVER,
    dport: int = 53,
) -> bytes:
    """One datagram with the headers before it."""
    return bytes(ip(src, dst) / UDP(sport=sport, dport=dport) / Raw(data))


@dataclass(frozen=True)
class Link:
    """A link layer: its LINKTYPE_ number, its header before IPv4 and IPv6 (None where it
    carries only the other), and what of the client it tells."""

    name: str
    number: int
    before: dict[int, bytes]
    mac: str | None = None
    vlan: int | None = None

    def frame(self, packet: bytes) -> bytes:
        """The IP packet behind this link's header."""
        return self.before[packet[0] >> 4] + packet

    def carries(self, version: int) -> bool:
        return version in self.before


def _ether(*tags: tuple[int, int]) -> dict[int, bytes]:
    """Ethernet from the client to the gateway, with (EtherType, VLAN id) tags in order."""
    kinds = [kind for kind, _ in tags]
    before = {}
    for version, payload in ((4, 0x0800), (6, 0x86DD)):
        following = [*kinds, payload]
        head = Ether(src=MAC, dst=GATEWAY, type=following[0])
        for place, (kind, vlan) in enumerate(tags):
            layer = Dot1AD if kind == 0x88A8 else Dot1Q
            head /= layer(vlan=vlan, prio=3, type=following[place + 1])
        before[version] = bytes(head)
    return before


def _cooked(layer: type[Packet]) -> dict[int, bytes]:
    source = bytes.fromhex(MAC.replace(":", "")) + b"\0\0"
    return {
        version: bytes(layer(pkttype=4, lladdrtype=1, lladdrlen=6, src=source, proto=proto))
        for version, proto in ((4, 0x0800), (6, 0x86DD))
    }


def _family(order: str, six: int) -> dict[int, bytes]:
    return {4: struct.pack(order + "I", 2), 6: struct.pack(order + "I", six)}


RAW = {4: b"", 6: b""}

LINKS = (
    Link("ethernet", 1, _ether(), MAC),
    Link("dot1q", 1, _ether((0x8100, 30)), MAC, 30),
    Link("qinq-88a8", 1, _ether((0x88A8, 7), (0x8100, 31)), MAC, 31),
    Link("qinq-9100", 1, _ether((0x9100, 7), (0x8100, 32)), MAC, 32),
    Link("qinq-8100", 1, _ether((0x8100, 7), (0x8100, 33)), MAC, 33),
    Link("raw-101", 101, RAW),
    Link("raw-12", 12, RAW),
    Link("raw-14", 14, RAW),
    Link("ipv4-228", 228, {4: b""}),
    Link("ipv6-229", 229, {6: b""}),
    Link("sll", 113, _cooked(CookedLinux), MAC),
    Link("sll2", 276, _cooked(CookedLinuxV2), MAC),
    Link("null-le", 0, _family("<", 24)),
    Link("null-be", 0, _family(">", 30)),
    Link("loop", 108, _family(">", 24)),
)
"""Every link layer that is read; the families of IPv6 differ by system (24 NetBSD, 28
FreeBSD, 30 macOS)."""

ETHERNET = LINKS[0]
