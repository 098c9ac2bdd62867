"""Headers byte by byte from the standards, for what packets come wrapped in.

Each function puts its header before what it is given. What goes by EtherType is a pair
of that type and the bytes, so that one may be put in another.
"""

import struct
from collections.abc import Sequence

from support.frames import GATEWAY, MAC

IPV4, IPV6, ETHERNET, MPLS, PPPOE, NSH = 0x0800, 0x86DD, 0x6558, 0x8847, 0x8864, 0x894F
Typed = tuple[int, bytes]
"""An EtherType and what goes by it; `ETHERNET` is a frame (RFC 1701, RFC 7637)."""


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


CLIENT_MAC, GATEWAY_MAC = mac(MAC), mac(GATEWAY)


def kind_of(packet: bytes) -> int:
    return IPV4 if packet[0] >> 4 == 4 else IPV6


def ipv4(proto: int, data: bytes, *, ident: int = 0, fragment: int = 0) -> bytes:
    """RFC 791 section 3.1, between the ends of a tunnel."""
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(data), ident, fragment, 64, proto, 0)
    return head + bytes.fromhex("c6336401c6336402") + data


def ipv6(following: int, data: bytes) -> bytes:
    """RFC 8200 section 3, between the ends of a tunnel."""
    ends = b"".join(bytes.fromhex(f"20010db8{0x10000:08x}{end:016x}") for end in (1, 2))
    return struct.pack(">IHBB", 0x60000000, len(data), following, 64) + ends + data


def datagram(dport: int, data: bytes, sport: int = 49152) -> bytes:
    """RFC 768, without checksum (RFC 6935)."""
    return struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data


def frame(packet: bytes, number: int = 0, *, vlans: Sequence[int] = ()) -> Typed:
    """The Ethernet frame number `number` around an IP packet."""
    return ethernet((kind_of(packet), packet), number, vlans=vlans)


def ethernet(inside: Typed, number: int = 0, *, vlans: Sequence[int] = ()) -> Typed:
    tags = b"".join(struct.pack(">HH", 0x8100, vlan) for vlan in vlans)
    ends = b"\x02\0\0\0\1" + bytes([number]) + b"\x02\0\0\0\0" + bytes([number])
    return ETHERNET, ends + tags + struct.pack(">H", inside[0]) + inside[1]


def inner_mac(number: int) -> bytes:
    """The address that `ethernet` of this number sends from."""
    return b"\x02\0\0\0\0" + bytes([number])


def mpls(inside: Typed, labels: int = 1, *, control: bool = False) -> Typed:
    """A label stack (RFC 3032); `control` puts the control word of RFC 4448 behind it."""
    stack = [struct.pack(">I", (1000 + at) << 12 | 64) for at in range(labels)]
    stack[-1] = struct.pack(">I", 2000 << 12 | 1 << 8 | 64)
    return MPLS, b"".join(stack) + (b"\0\0\0\7" if control else b"") + inside[1]


def ppp(packet: bytes, *, control: bool = True, short: bool = False) -> bytes:
    """RFC 1661 section 2; address and control of RFC 1662, a protocol in one byte."""
    proto = 0x21 if kind_of(packet) == IPV4 else 0x57
    return (b"\xff\3" if control else b"") + proto.to_bytes(1 if short else 2) + packet


def pppoe(content: bytes) -> Typed:
    """A session (RFC 2516 section 4) with PPP in it."""
    return PPPOE, struct.pack(">BBHH", 0x11, 0, 17, len(content)) + content


def nsh(inside: Typed, context: int = 4) -> Typed:
    """RFC 8300 section 2 with `context` words behind base and service path header."""
    following = {IPV4: 1, IPV6: 2, ETHERNET: 3, NSH: 4, MPLS: 5}[inside[0]]
    head = struct.pack(">HBBI", 2 + context, 1 + (context != 4), following, 0x000001FF)
    return NSH, head + bytes(4 * context) + inside[1]


def gre(inside: Typed, flags: int = 0, *, kind: int | None = None) -> bytes:
    """GRE (RFC 2784, RFC 2890) with the fields that its flags say: checksum 0x8000, key
    0x2000, sequence number 0x1000."""
    fields = b"\xca\xfe\0\0" if flags & 0x8000 else b""
    fields += b"\0\0\0\1" if flags & 0x2000 else b""
    fields += b"\0\0\0\2" if flags & 0x1000 else b""
    return struct.pack(">HH", flags, kind or inside[0]) + fields + inside[1]


def pptp(content: bytes, flags: int = 0x3081) -> bytes:
    """GRE as PPTP has it (RFC 2637 section 4.1)."""
    fields = struct.pack(">HH", len(content), 9)
    fields += b"\0\0\0\3" if flags & 0x1000 else b""
    fields += b"\0\0\0\4" if flags & 0x0080 else b""
    return struct.pack(">HH", flags, 0x880B) + fields + content


def erspan(inside: Typed, kind: int, *, platform: bool = False, ip: bool = False) -> bytes:
    """ERSPAN I, II and III (draft-foschiano-erspan-03), III with its platform header, and around
    IP instead of Ethernet."""
    if kind == 1:
        return gre(inside, kind=0x88BE)
    if kind == 2:
        return gre((0, struct.pack(">II", 0x1001_0001, 0) + inside[1]), 0x1000, kind=0x88BE)
    head = struct.pack(">IIHH", 0x2001_0001, 12345, 0, 0x0008 | platform | ip << 11)
    return gre((0, head + bytes(8 * platform) + inside[1]), 0x1000, kind=0x22EB)


def ah(following: int, data: bytes, words: int = 6) -> bytes:
    """RFC 4302 section 2, `words` in all."""
    return struct.pack(">BBHII", following, words - 2, 0, 1, 1) + bytes(4 * words - 12) + data


def vxlan(inside: Typed, flags: int = 8) -> bytes:
    """RFC 7348 section 5; with flag 4 the protocol of draft-ietf-nvo3-vxlan-gpe-13."""
    following = {IPV4: 1, IPV6: 2, ETHERNET: 3, NSH: 4, MPLS: 5}[inside[0]] if flags & 4 else 0
    return struct.pack(">BHBI", flags, 0, following, 77 << 8) + inside[1]


def geneve(inside: Typed, options: int = 0) -> bytes:
    """RFC 8926 section 3.4 with `options` of four bytes each."""
    size = 2 * options
    option = struct.pack(">HBBI", 0x0102, 3, 1, 5)
    return struct.pack(">BBHI", size, 0, inside[0], 88 << 8) + option * options + inside[1]


def gtp(packet: bytes, flags: int = 0x30, extensions: Sequence[int] = ()) -> bytes:
    """A G-PDU (3GPP TS 29.281 section 5.1); `extensions` are lengths in words."""
    more = b""
    if flags & 7:
        more = b"\0\1\0" + (b"\x85" if extensions else b"\0")
        for at, words in enumerate(extensions):
            last = at == len(extensions) - 1
            more += bytes([words]) + bytes(4 * words - 2) + (b"\0" if last else b"\x85")
    return struct.pack(">BBHI", flags, 255, len(more) + len(packet), 99) + more + packet


def teredo(packet: bytes, *, authentication: bool = False, origin: bool = False) -> bytes:
    """RFC 4380 section 5.1.1."""
    before = b"\0\1\2\3idkey" + bytes(9) if authentication else b""
    return before + (b"\0\0\x30\x39\x3f\xff\xfd\xfd" if origin else b"") + packet


def l2tp(content: bytes, flags: int = 0) -> bytes:
    """A data message of version 2 (RFC 2661 section 3.1): length 0x4000, sequence numbers
    0x0800, offset 0x0200."""
    fields = struct.pack(">HH", 5, 6) + (b"\0\1\0\1" if flags & 0x0800 else b"")
    fields += b"\0\3pad" if flags & 0x0200 else b""
    size = 2 + 2 * bool(flags & 0x4000) + len(fields) + len(content)
    length = struct.pack(">H", size) if flags & 0x4000 else b""
    return struct.pack(">H", flags | 2) + length + fields + content


def on_ethernet(inside: Typed) -> bytes:
    """The frame of the outermost link."""
    return GATEWAY_MAC + CLIENT_MAC + struct.pack(">H", inside[0]) + inside[1]


def snap(packet: bytes) -> bytes:
    """LLC and SNAP (IEEE 802.2, RFC 1042) before an IP packet."""
    return b"\xaa\xaa\3\0\0\0" + struct.pack(">H", kind_of(packet)) + packet


def wlan(
    content: bytes,
    *,
    to: bool = True,
    fro: bool = False,
    qos: int | None = None,
    control: bool = False,
    protected: bool = False,
    source: bytes = CLIENT_MAC,
    destination: bytes = GATEWAY_MAC,
) -> bytes:
    """A data frame of IEEE 802.11 (section 9.3.2.1): addresses by direction, QoS control
    as given, HT control where asked."""
    flags = to | fro << 1 | protected << 6 | control << 7
    station, point = b"\x02\0\0\0\xee\1", b"\x02\0\0\0\xee\2"
    addresses = {
        (False, False): destination + source + point,
        (False, True): destination + point + source,
        (True, False): point + source + destination,
        (True, True): point + station + destination,
    }[to, fro]
    head = bytes([0x08 if qos is None else 0x88, flags]) + b"\0\0" + addresses + b"\x10\0"
    head += source if to and fro else b""
    head += struct.pack("<H", qos) if qos is not None else b""
    return head + (b"\1\2\3\4" if control else b"") + content


def amsdu(*packets: bytes, source: bytes = CLIENT_MAC) -> bytes:
    """The subframes of an A-MSDU (section 9.3.2.2), each but the last padded."""
    out = b""
    for packet in packets:
        content = snap(packet)
        out += bytes(-len(out) % 4)
        out += GATEWAY_MAC + source + struct.pack(">H", len(content)) + content
    return out


def radiotap(content: bytes) -> bytes:
    """A radiotap header with rate and channel (radiotap.org)."""
    return struct.pack("<BBHIBBHH", 0, 0, 14, 0x0000000C, 2, 0, 2412, 0x00A0) + content


def nflog(packet: bytes, order: str = "<") -> bytes:
    """LINKTYPE_NFLOG: a header, a mark, the packet, in the byte order of a machine."""
    family = 2 if kind_of(packet) == IPV4 else 10
    out = struct.pack(">BBH", family, 0, 5)
    for kind, value in ((1, b"\x08\0\1\0"), (10, b"log \0"), (9, packet)):
        out += struct.pack(order + "HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
    return out


def fragments(packet: bytes, cuts: Sequence[int], ident: int = 1) -> list[bytes]:
    """The fragments of an IP packet without options, cut at these eighths of its payload
    (RFC 791 section 3.2, RFC 8200 section 4.5)."""
    version = packet[0] >> 4
    head, data = (packet[:20], packet[20:]) if version == 4 else (packet[:40], packet[40:])
    edges = sorted({8 * cut for cut in cuts if 0 < 8 * cut < len(data)})
    out = []
    for start, end in zip([0, *edges], [*edges, len(data)], strict=True):
        piece, more = data[start:end], end < len(data)
        if version == 4:
            at = struct.pack(">HHH", 20 + len(piece), ident & 0xFFFF, more << 13 | start >> 3)
            out.append(head[:2] + at + head[8:] + piece)
        else:
            extra = struct.pack(">BBHI", head[6], 0, start | more, ident)
            size = struct.pack(">HB", 8 + len(piece), 44)
            out.append(head[:4] + size + head[7:] + extra + piece)
    return out


def eoip(content: bytes) -> bytes:
    """GRE as MikroTik's EoIP has it: version 1 with a key of length and tunnel id, the latter
    with its lowest byte first."""
    return b"\x20\x01\x64\x00" + struct.pack(">H", len(content)) + b"\x07\0" + content


def capwap(
    content: bytes, *, native: bool = True, fragment: tuple[int, int, bool] | None = None
) -> bytes:
    """A data message of CAPWAP (RFC 5415 section 4.3), around IEEE 802.11 if `native`, with
    information about the radio. `fragment` is its id, offset in bytes, and if it is the last."""
    words = 4 << 19 | 1 << 14 | 1 << 9 | native << 8 | 0x20
    ident = offset = 0
    if fragment is not None:
        ident, offset, last = fragment
        words |= 0x80 | last << 6
    return struct.pack(">IHH", words, ident, offset) + b"\4\xcf\x28\0\x6c\0\0\0" + content


def swapped_control(content: bytes) -> bytes:
    """An IEEE 802.11 frame with the bytes of its frame control field swapped."""
    return content[1::-1] + content[2:]


def lwapp(content: bytes) -> bytes:
    """A data message of LWAPP (RFC 5412 section 3.1)."""
    return struct.pack(">BBHH", 0x08, 0, len(content), 0x2020) + content


def tzsp(content: bytes, kind: int = 1) -> bytes:
    """TZSP with a padding, a signal strength, and a channel before its end tag."""
    return struct.pack(">BBH", 1, 0, kind) + b"\0\x0a\1\xc4\x12\1\6\1" + content


def ayiya(following: int, packet: bytes) -> bytes:
    """draft-massar-v6ops-ayiya-02 section 4.3: an identity of 16 bytes, a signature of 20."""
    return struct.pack(">BBBBI", 0x41, 0x52, 0x11, following, 1) + bytes(16) + bytes(20) + packet


def gue(following: int, packet: bytes, words: int = 0) -> bytes:
    """Variant 0 of draft-ietf-intarea-gue-09, with `words` of fields."""
    return struct.pack(">BBH", words, following, 0x8000 if words else 0) + bytes(4 * words) + packet


def l2tpv3(content: bytes, cookie: int = 0, *, sublayer: bool = False, udp: bool = False) -> bytes:
    """A data message of L2TP version 3 (RFC 3931 section 4.1)."""
    head = (
        (b"\0\3\0\0" if udp else b"") + b"\0\0\x12\x34" + b"\xc0\x0c\x1e\0\x80\0\x21\x45"[:cookie]
    )
    return head + (b"\x40\0\0\5" if sublayer else b"") + content


def pcap_record(content: bytes, radio: bytes = b"") -> bytes:
    """The header of a record of pcap before what Aruba mirrors, and what its radio adds."""
    return struct.pack(">IIII", 1700000000, 5, len(content), len(content)) + radio + content


def peekremote(content: bytes) -> bytes:
    """The older header of OmniPeek's remote capture."""
    size = len(content)
    return struct.pack(">BBHHBBQBBBB", 200, 160, size, size, 0, 0, 1, 12, 6, 80, 0) + content


def peekremote_ng(content: bytes) -> bytes:
    """The newer header of OmniPeek's remote capture, which begins with a number of its own."""
    return struct.pack(">IBI", 0x00FFABCD, 2, 55) + bytes(46) + content


def ppi(content: bytes) -> bytes:
    """A header of per-packet information without fields, for IEEE 802.11."""
    return struct.pack("<BBHI", 0, 0, 8, 105) + content


def capwap_fragments(
    content: bytes, cuts: Sequence[int], ident: int, *, native: bool = True
) -> list[bytes]:
    """Data messages of CAPWAP with a frame that is cut at these eighths."""
    edges = sorted({8 * cut for cut in cuts if 0 < 8 * cut < len(content)})
    return [
        capwap(content[start:end], native=native, fragment=(ident, start, end == len(content)))
        for start, end in zip([0, *edges], [*edges, len(content)], strict=True)
    ]


def bier(inside: Typed, length: int = 1) -> bytes:
    """The header of BIER behind its label (RFC 8296 section 2.1), with a string of bits of this
    code for its length."""
    following = {IPV4: 4, IPV6: 6, ETHERNET: 3, MPLS: 1}[inside[0]]
    head = struct.pack(">IHH", 5 << 28 | length << 20, following, 1)
    return head + bytes((4 << length) - 1) + b"\1" + inside[1]
