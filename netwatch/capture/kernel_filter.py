"""The kernel filter: which packets are not worth carrying into the ring.

It is a program of classic BPF (Documentation/networking/filter.rst), which answers with the number
of bytes of a packet to keep, 0 for none. The packets that `program` drops change no name, no flow
and no counts except of packets and bytes read:

- TCP segments without data, SYN and RST are dropped. The packet loop does nothing with them, and
  flows count bytes of data.
- UDP datagrams that no protocol mask of the packet loop matches are truncated after 48 bytes of
  their data. The loop keeps nothing from one datagram to the next, so these bytes belong to no
  message, and their length on the wire, which flows count, stays known.

All other packets are kept whole: TCP data, since any segment may contain the end of a hello or of a
certificate, which a stateless filter cannot tell; ports that carry names or tunnels; fragments; and
packets with more than two VLAN tags.
"""

import ctypes
import socket
import struct
from collections.abc import Sequence

from netwatch.capture.interfaces import ETHERNET, RAW
from netwatch.core.encapsulation import UDP_TUNNELS

Instruction = tuple[int, int, int, int]
"""Code, jump targets for true and false, operand (struct sock_filter)."""

_Line = tuple[str, int, str, str]

KEPT_DATA = 48
"""Bytes of data kept of a truncated datagram: more than any mask reads."""

WHOLE_BELOW = 1024
"""UDP ports below this are kept whole, except 443."""

NAME_PORTS = (5353, 5355)
"""UDP ports from `WHOLE_BELOW` on that carry names in clear text: mDNS and LLMNR."""

WHOLE_PORTS = tuple(sorted({*NAME_PORTS, *(row.port for row in UDP_TUNNELS)}))
"""UDP ports of tunnels, and of names in clear text, that are also kept whole."""

_CODES = {
    "ld": 0x20,
    "ldh": 0x28,
    "ldb": 0x30,
    "ldxi": 0x01,
    "ld[x]": 0x40,
    "ldh[x]": 0x48,
    "ldb[x]": 0x50,
    "len": 0x80,
    "ldm": 0x60,
    "ldxm": 0x61,
    "st": 0x02,
    "add": 0x04,
    "addx": 0x0C,
    "subx": 0x1C,
    "and": 0x54,
    "lsh": 0x64,
    "rsh": 0x74,
    "tax": 0x07,
    "txa": 0x87,
    "jeq": 0x15,
    "jeqx": 0x1D,
    "jge": 0x35,
    "jgex": 0x3D,
    "jset": 0x45,
    "ret": 0x06,
    "reta": 0x16,
}
_PACKET_TYPE = 0xFFFFF000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE
_OUTGOING = 4
_SO_ATTACH_FILTER = 26

_QUIC_VERSIONS = (
    (0xFFFFFFFF, (1, 0x6B3343CF, 0x54303530, 0x54303531)),
    (0xFFFFFF00, (0xFF000000,)),  # drafts of version 1
    (0xFF00FFFF, (0xFF000000,)),  # drafts of version 2
    (0xFFFFFFF0, (0xFACEB000,)),  # Meta's
    (0x0F0F0F0F, (0x0A0A0A0A,)),  # reserved
)
"""Versions of QUIC that the packet loop reads, by the bits that tell them."""

NOTHING: tuple[Instruction, ...] = ((0x06, 0, 0, 0),)
"""The program that drops all packets."""


class _Assembler:
    """Collects lines with labels; a jump without a label continues with the next line."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._labels: dict[str, int] = {}

    def __call__(self, word: str, value: int = 0, true: str = "", false: str = "") -> None:
        self._lines.append((word, value, true, false))

    def label(self, name: str) -> None:
        self._labels[name] = len(self._lines)

    def instructions(self) -> list[Instruction]:
        found = []
        for number, (word, value, true, false) in enumerate(self._lines):
            ahead = [self._labels[to] - number - 1 if to else 0 for to in (true, false)]
            assert all(0 <= distance < 256 for distance in ahead)
            found.append((_CODES[word], ahead[0], ahead[1], value))
        return found


def program(
    link_type: int, snaplen: int, *, filtered: bool = True, outgoing: bool = True
) -> list[Instruction]:
    """The program for an interface of this LINKTYPE_. It keeps up to `snaplen` bytes of a packet,
    and packets that the host itself sends only with `outgoing`. With `filtered` it drops and
    truncates as described above, only on Ethernet and raw IP."""
    do = _Assembler()
    if not outgoing:
        do("ldb", _PACKET_TYPE)
        do("jeq", _OUTGOING, "drop")
    if filtered and link_type in (ETHERNET, RAW) and snaplen > 14 + 8 + 60 + 8 + KEPT_DATA:
        _link(do, link_type)
        _ipv4(do)
        _ipv6(do)
        _transport(do)
    do.label("keep")
    do("ret", snaplen)
    do.label("drop")
    do("ret", 0)
    return do.instructions()


def _link(do: _Assembler, link_type: int) -> None:
    """Set X to the offset of the IP header. A load beyond the end of a packet would drop it, so the
    length is checked before."""
    do("len")
    if link_type == RAW:
        do("jge", 40, "", "keep")
        do("ldxi", 0)
        do("ldb", 0)
        do("rsh", 4)
        do("jeq", 4, "ipv4")
        do("jeq", 6, "ipv6", "keep")
        return
    do("jge", 14 + 8 + 20, "", "keep")
    for tags in range(3):
        do("ldxi", 14 + 4 * tags)
        do("ldh", 12 + 4 * tags)
        do("jeq", 0x0800, "ipv4")
        do("jeq", 0x86DD, "ipv6")
        if tags < 2:
            do("jeq", 0x8100, f"tag{tags}")
            do("jeq", 0x88A8, f"tag{tags}", "keep")
            do.label(f"tag{tags}")
    do("jge", 0, "keep")


def _ipv4(do: _Assembler) -> None:
    """Set M[0] to the length of the IP payload, M[1] to its protocol and X to its offset. There are
    20 bytes from X on."""
    do.label("ipv4")
    do("ldb[x]", 0)
    do("rsh", 4)
    do("jeq", 4, "", "keep")
    do("ldh[x]", 6)
    do("jset", 0x3FFF, "keep")
    do("ldb[x]", 9)
    do("st", 1)
    do("ldb[x]", 0)
    do("and", 15)
    do("lsh", 2)
    do("jge", 20, "", "keep")
    do("st", 2)
    do("ldh[x]", 2)  # 0 if the card has not yet cut it into segments
    do("st", 0)
    do("txa")
    do("st", 3)
    do("ldxm", 2)
    do("ldm", 0)
    do("jgex", 0, "", "keep")
    do("subx")
    do("st", 0)
    do("ldm", 3)
    do("addx")
    do("tax")
    do("jge", 0, "transport")


def _ipv6(do: _Assembler) -> None:
    """The same for IPv6. Packets with extension headers are kept."""
    do.label("ipv6")
    do("ldb[x]", 0)
    do("rsh", 4)
    do("jeq", 6, "", "keep")
    do("ldh[x]", 4)
    do("st", 0)
    do("ldb[x]", 6)
    do("st", 1)
    do("txa")
    do("add", 40)
    do("tax")


def _transport(do: _Assembler) -> None:
    """Set M[2] to the number of bytes from X on, and decide."""
    do.label("transport")
    do("len")
    do("jgex", 0, "", "keep")
    do("subx")
    do("st", 2)
    do("ldm", 1)
    do("jeq", 6, "tcp")
    do("jeq", 17, "udp", "keep")

    do.label("tcp")
    do("ldm", 2)
    do("jge", 20, "", "keep")
    do("ldb[x]", 13)
    do("jset", 2 | 4, "keep")  # SYN, RST
    do("ldb[x]", 12)
    do("rsh", 4)
    do("lsh", 2)
    do("jge", 20, "", "keep")
    do("ldxm", 0)
    do("jeqx", 0, "drop", "keep")

    do.label("udp")
    do("ldm", 2)
    do("jge", 8 + KEPT_DATA, "", "keep")
    for at in (0, 2):
        do("ldh[x]", at)
        do("jeq", 443, f"port{at}")
        do("jge", WHOLE_BELOW, "", "keep")
        for port in WHOLE_PORTS:
            do("jeq", port, "keep")
        do.label(f"port{at}")
    do("ldh[x]", 4)
    do("jge", 8 + KEPT_DATA, "", "keep")
    do("ldb[x]", 8)
    do("jge", 0xC0, "keep")  # QUIC's long header (RFC 9000 section 17.2)
    do("jeq", 22, "keep")  # a handshake of DTLS
    do("jge", 0x80, "", "short")
    _version(do)
    do.label("short")
    for at in (9, 17):
        do("ldh[x]", at)
        do("jeq", 0x5130, "keep")  # "Q0", a version of Google's QUIC
    do("ldh[x]", 12)
    do("jeq", 1, "keep")  # DNS on any port asks one question
    for at in (16, 32):
        do("ld[x]", at)
        do("jeq", 0x20010000, "keep")  # Teredo between any ports, by its addresses
    do("txa")
    do("add", 8 + KEPT_DATA)
    do("reta")


def _version(do: _Assembler) -> None:
    """Keep packets with the version of a long header whose fixed bit is cleared (RFC 9287). RTP
    begins with the same bits, so the versions are those accepted by `ProtocolMasks.quic`."""
    for bits, versions in _QUIC_VERSIONS:
        do("ld[x]", 9)
        do("and", bits)
        for version in versions:
            do("jeq", version, "keep")


def attach(to: socket.socket, instructions: Sequence[Instruction]) -> None:
    """Have the kernel run a program on each packet of a socket; raises `OSError`."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(code, len(code))
    to.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        struct.pack("@HP", len(instructions), ctypes.addressof(buffer)),
    )
