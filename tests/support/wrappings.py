"""What an IP packet comes wrapped in: the tables, and compositions of them.

A `Wrapping` makes an IP packet of an IP packet, so that any may stand in any other; a
`Carrier` makes the frame that a link of its number carries. Both say which Ethernet
addresses and VLAN the packet inside is then known by.
"""

import itertools
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from support import tags
from support.frames import LINKS
from support.layers import (
    CLIENT_MAC,
    GATEWAY_MAC,
    IPV4,
    IPV6,
    Typed,
    ah,
    amsdu,
    ayiya,
    bier,
    capwap,
    datagram,
    eoip,
    erspan,
    fragments,
    frame,
    geneve,
    gre,
    gtp,
    gue,
    inner_mac,
    ipv4,
    ipv6,
    kind_of,
    l2tp,
    l2tpv3,
    lwapp,
    mac,
    mpls,
    nflog,
    nsh,
    on_ethernet,
    pcap_record,
    peekremote,
    peekremote_ng,
    ppi,
    ppp,
    pppoe,
    pptp,
    radiotap,
    snap,
    swapped_control,
    teredo,
    tzsp,
    vxlan,
    wlan,
)
from support.link_headers import FORMS, RARE_LINKS

NOWHERE: Mapping[int, Sequence[int]] = MappingProxyType({})
"""No fragments."""


@dataclass(frozen=True)
class Wrapping:
    """`wrap` makes an IP packet of one; its number is that of the Ethernet frame inside,
    where it has one (`framed`), which has the tag `vlan`."""

    name: str
    wrap: Callable[[bytes, int], bytes]
    framed: bool = False
    vlan: int | None = None
    takes: tuple[int, ...] = (IPV4, IPV6)


def _gre() -> list[Wrapping]:
    """GRE with each set of its fields, around IP and around Ethernet."""
    found = []
    for number, flags in enumerate(range(0, 0x10000, 0x1000)):
        if flags & 0x4000:
            continue  # source routes (RFC 1701) are history
        over = (ipv4, ipv6)[number % 2]
        found += [
            Wrapping(
                f"gre-{flags:04x}-ip",
                lambda p, n, f=flags, o=over: o(47, gre((kind_of(p), p), f)),
            ),
            Wrapping(
                f"gre-{flags:04x}-ethernet",
                lambda p, n, f=flags, o=over: o(47, gre(frame(p, n), f)),
                framed=True,
            ),
        ]
    return found


def _udp(dport: int, make: Callable[[bytes, int], bytes], *, six: bool = False) -> Callable:
    over = ipv6 if six else ipv4
    return lambda packet, number: over(17, datagram(dport, make(packet, number)))


def _air(packet: bytes, number: int, **way: Any) -> bytes:
    """A data frame of IEEE 802.11 around an IP packet, from the station of this number."""
    return wlan(snap(packet), source=inner_mac(number), **way)


def _protocol(packet: bytes) -> int:
    return 4 if kind_of(packet) == IPV4 else 41


def _pseudowires() -> list[Wrapping]:
    """L2TP version 3 with each cookie and sublayer, over IP and UDP, around each link."""
    found = []
    for number, cookie in enumerate((0, 4, 8, 0, 4, 8)):
        sublayer, over = number > 2, (ipv4, ipv6)[number % 2]
        found += [
            Wrapping(
                f"l2tpv3-{cookie}{'-sublayer' * sublayer}",
                lambda p, n, c=cookie, s=sublayer, o=over: o(
                    115, l2tpv3(frame(p, n)[1], c, sublayer=s)
                ),
                framed=True,
            ),
            Wrapping(
                f"l2tpv3-udp-{cookie}{'-sublayer' * sublayer}",
                _udp(
                    1701,
                    lambda p, n, c=cookie, s=sublayer: l2tpv3(
                        frame(p, n)[1], c, sublayer=s, udp=True
                    ),
                ),
                framed=True,
            ),
        ]
    return [
        *found,
        Wrapping(
            "l2tpv3-vlans",
            lambda p, n: ipv4(115, l2tpv3(frame(p, n, vlans=(9, 8))[1], 4)),
            framed=True,
            vlan=8,
        ),
        Wrapping("l2tpv3-ppp", lambda p, n: ipv4(115, l2tpv3(ppp(p), 8, sublayer=True))),
        Wrapping("l2tpv3-ppp-bare", lambda p, n: ipv4(115, l2tpv3(ppp(p, control=False)))),
        Wrapping(
            "l2tpv3-hdlc",
            lambda p, n: ipv4(115, l2tpv3(b"\x0f\0" + struct.pack(">H", kind_of(p)) + p, 4)),
        ),
        Wrapping("l2tpv3-ip", lambda p, n: ipv4(115, l2tpv3(p, 8))),
    ]


def _controllers() -> list[Wrapping]:
    """What access points send to their controllers, and mirror to a capturing host."""
    return [
        *(
            Wrapping(
                f"aruba-{kind:04x}",
                lambda p, n, k=kind: ipv4(47, gre((k, _air(p, n, qos=0)))),
                framed=True,
            )
            for kind in (0x8200, 0x8210, 0x8370, 0x83A0, 0x9000)
        ),
        Wrapping(
            "aruba-key",
            lambda p, n: ipv6(47, gre((0x8300, _air(p, n, to=False, fro=True)), 0x2000)),
            framed=True,
        ),
        Wrapping(
            "capwap",
            _udp(5247, lambda p, n: capwap(swapped_control(_air(p, n, qos=0)))),
            framed=True,
        ),
        Wrapping(
            "capwap-4-addresses",
            _udp(
                5247,
                lambda p, n: capwap(
                    swapped_control(_air(p, n, to=True, fro=True, qos=3, control=True))
                ),
                six=True,
            ),
            framed=True,
        ),
        Wrapping(
            "capwap-aggregate",
            _udp(
                5247,
                lambda p, n: capwap(swapped_control(wlan(amsdu(p, source=inner_mac(n)), qos=0x80))),
            ),
            framed=True,
        ),
        Wrapping(
            "capwap-as-on-air", _udp(5247, lambda p, n: capwap(_air(p, n, qos=0))), framed=True
        ),
        Wrapping(
            "capwap-ethernet",
            _udp(5247, lambda p, n: capwap(frame(p, n)[1], native=False)),
            framed=True,
        ),
        Wrapping(
            "capwap-from-controller",
            lambda p, n: ipv4(
                17,
                datagram(40123, capwap(swapped_control(_air(p, n, to=False, fro=True))), 5247),
            ),
            framed=True,
        ),
        Wrapping("lwapp", _udp(12222, lambda p, n: lwapp(_air(p, n))), framed=True),
        Wrapping(
            "lwapp-swapped",
            _udp(12222, lambda p, n: lwapp(swapped_control(_air(p, n, qos=0)))),
            framed=True,
        ),
        Wrapping("tzsp", _udp(37008, lambda p, n: tzsp(frame(p, n)[1])), framed=True),
        Wrapping(
            "tzsp-prism",
            _udp(
                37008,
                lambda p, n: tzsp(struct.pack("<II", 0x44, 144) + bytes(136) + _air(p, n), 119),
            ),
            framed=True,
        ),
        Wrapping(
            "tzsp-avs",
            _udp(
                37008,
                lambda p, n: tzsp(struct.pack(">II", 0x80211001, 64) + bytes(56) + _air(p, n), 127),
            ),
            framed=True,
        ),
        Wrapping("tzsp-air", _udp(37008, lambda p, n: tzsp(_air(p, n), 18)), framed=True),
        *(
            Wrapping(
                f"mirror-{name}",
                _udp((5555, 5000)[number % 2], lambda p, n, m=make: m(_air(p, n, qos=0))),
                framed=True,
            )
            for number, (name, make) in enumerate(
                {
                    "pcap": pcap_record,
                    "pcap-radio": lambda air: pcap_record(air, b"\0\x0c\6\x50"),
                    "peek": peekremote,
                    "peek-ng": peekremote_ng,
                    "ppi": ppi,
                    "radiotap": radiotap,
                }.items()
            )
        ),
    ]


def _typed(packet: bytes) -> Typed:
    return kind_of(packet), packet


WRAPPINGS: tuple[Wrapping, ...] = (
    Wrapping("ip-in-ipv4", lambda p, n: ipv4(4 if p[0] >> 4 == 4 else 41, p)),
    Wrapping("ip-in-ipv6", lambda p, n: ipv6(4 if p[0] >> 4 == 4 else 41, p)),
    *_gre(),
    Wrapping(
        "gre-vlan", lambda p, n: ipv4(47, gre((0x8100, frame(p, vlans=(5,))[1][14:]))), vlan=5
    ),
    Wrapping("gre-mpls", lambda p, n: ipv4(47, gre(mpls(_typed(p), 2)))),
    Wrapping("gre-nsh", lambda p, n: ipv4(47, gre(nsh(_typed(p), 0)))),
    Wrapping("erspan-1", lambda p, n: ipv4(47, erspan(frame(p, n), 1)), framed=True),
    Wrapping("erspan-2", lambda p, n: ipv4(47, erspan(frame(p, n), 2)), framed=True),
    Wrapping(
        "erspan-2-vlan",
        lambda p, n: ipv4(47, erspan(frame(p, n, vlans=(6,)), 2)),
        framed=True,
        vlan=6,
    ),
    Wrapping("erspan-3", lambda p, n: ipv4(47, erspan(frame(p, n), 3)), framed=True),
    Wrapping(
        "erspan-3-platform",
        lambda p, n: ipv6(47, erspan(frame(p, n), 3, platform=True)),
        framed=True,
    ),
    Wrapping("pptp", lambda p, n: ipv4(47, pptp(ppp(p)))),
    Wrapping("pptp-unacknowledged", lambda p, n: ipv4(47, pptp(ppp(p, control=False), 0x3001))),
    Wrapping("pptp-short", lambda p, n: ipv4(47, pptp(ppp(p, control=False, short=True)))),
    Wrapping(
        "pptp-bridged",
        lambda p, n: ipv4(47, pptp(b"\xff\3\0\x31\0\1" + frame(p, n)[1])),
        framed=True,
    ),
    Wrapping(
        "pptp-bridged-short",
        lambda p, n: ipv4(47, pptp(b"\x31\x80\1" + frame(p, n)[1])),
        framed=True,
    ),
    Wrapping(
        "pptp-multilink",
        lambda p, n: ipv4(47, pptp(b"\0\x3d\xc0\0\0\7" + ppp(p, control=False))),
    ),
    Wrapping(
        "pptp-multilink-short",
        lambda p, n: ipv4(47, pptp(b"\x3d\xc7\xff" + ppp(p, control=False, short=True))),
    ),
    Wrapping("mpls-bier", lambda p, n: ipv4(137, mpls((0, bier(_typed(p))), 1)[1])),
    Wrapping(
        "mpls-bier-ethernet",
        lambda p, n: ipv6(137, mpls((0, bier(frame(p, n), 3)), 2)[1]),
        framed=True,
    ),
    Wrapping("mpls-bier-mpls", lambda p, n: ipv4(137, mpls((0, bier(mpls(_typed(p)))))[1])),
    Wrapping("etherip", lambda p, n: ipv4(97, b"\x30\0" + frame(p, n)[1]), framed=True),
    Wrapping("ah", lambda p, n: ipv4(51, ah(4 if p[0] >> 4 == 4 else 41, p))),
    Wrapping("ah-ipv6", lambda p, n: ipv6(51, ah(4 if p[0] >> 4 == 4 else 41, p, 8))),
    Wrapping("mpls-in-ip", lambda p, n: ipv4(137, mpls(_typed(p))[1])),
    Wrapping("vxlan", _udp(4789, lambda p, n: vxlan(frame(p, n))), framed=True),
    Wrapping("vxlan-ipv6", _udp(4789, lambda p, n: vxlan(frame(p, n)), six=True), framed=True),
    Wrapping("vxlan-8472", _udp(8472, lambda p, n: vxlan(frame(p, n))), framed=True),
    Wrapping(
        "vxlan-vlan",
        _udp(4789, lambda p, n: vxlan(frame(p, n, vlans=(8, 7)))),
        framed=True,
        vlan=7,
    ),
    Wrapping("vxlan-gpe-ip", _udp(4790, lambda p, n: vxlan(_typed(p), 12))),
    Wrapping("vxlan-gpe-ethernet", _udp(4790, lambda p, n: vxlan(frame(p, n), 12)), framed=True),
    Wrapping("vxlan-gpe-nsh", _udp(4790, lambda p, n: vxlan(nsh(_typed(p)), 12))),
    Wrapping(
        "vxlan-gpe-nsh-ethernet",
        _udp(4790, lambda p, n: vxlan(nsh(frame(p, n), 2), 12)),
        framed=True,
    ),
    Wrapping("geneve-ip", _udp(6081, lambda p, n: geneve(_typed(p)))),
    Wrapping("geneve-ethernet", _udp(6081, lambda p, n: geneve(frame(p, n))), framed=True),
    Wrapping(
        "geneve-options", _udp(6081, lambda p, n: geneve(frame(p, n), 3), six=True), framed=True
    ),
    Wrapping("gtp", _udp(2152, lambda p, n: gtp(p))),
    Wrapping("gtp-sequence", _udp(2152, lambda p, n: gtp(p, 0x32))),
    Wrapping("gtp-extension", _udp(2152, lambda p, n: gtp(p, 0x34, (1,)))),
    Wrapping("gtp-extensions", _udp(2152, lambda p, n: gtp(p, 0x36, (1, 3, 2)), six=True)),
    Wrapping("teredo", _udp(3544, lambda p, n: teredo(p)), takes=(IPV6,)),
    Wrapping(
        "teredo-authentication",
        _udp(3544, lambda p, n: teredo(p, authentication=True)),
        takes=(IPV6,),
    ),
    Wrapping(
        "teredo-origin",
        _udp(3544, lambda p, n: teredo(p, authentication=True, origin=True)),
        takes=(IPV6,),
    ),
    Wrapping("l2tp", _udp(1701, lambda p, n: l2tp(ppp(p)))),
    Wrapping("l2tp-length", _udp(1701, lambda p, n: l2tp(ppp(p, control=False), 0x4000))),
    Wrapping("l2tp-all", _udp(1701, lambda p, n: l2tp(ppp(p), 0x4A00))),
    Wrapping("gre-in-udp", _udp(4754, lambda p, n: gre(_typed(p), 0x2000))),
    Wrapping("gre-in-udp-ethernet", _udp(4754, lambda p, n: gre(frame(p, n))), framed=True),
    Wrapping("lisp", _udp(4341, lambda p, n: bytes(8) + p)),
    Wrapping("lisp-ipv6", _udp(4341, lambda p, n: b"\xc8\0\0\7\0\0\0\1" + p, six=True)),
    Wrapping(
        "lisp-gpe-ip",
        _udp(4341, lambda p, n: bytes((12, 0, 0, 1 + (p[0] >> 4 == 6))) + bytes(4) + p),
    ),
    Wrapping(
        "lisp-gpe-ethernet",
        _udp(4341, lambda p, n: b"\x0c\0\0\3\0\0\1\0" + frame(p, n)[1]),
        framed=True,
    ),
    Wrapping("lisp-gpe-nsh", _udp(4341, lambda p, n: b"\x0c\0\0\4\0\0\1\0" + nsh(_typed(p))[1])),
    Wrapping("vxlan-gpe-mpls", _udp(4790, lambda p, n: vxlan(mpls(_typed(p), 2), 12))),
    Wrapping("geneve-mpls", _udp(6081, lambda p, n: geneve(mpls(_typed(p))))),
    Wrapping("gue-ip", _udp(6080, lambda p, n: p)),
    Wrapping("gue", _udp(6080, lambda p, n: gue(_protocol(p), p))),
    Wrapping("gue-fields", _udp(6080, lambda p, n: gue(_protocol(p), p, 3), six=True)),
    Wrapping("gue-gre", _udp(6080, lambda p, n: gue(47, gre(frame(p, n)))), framed=True),
    Wrapping("ayiya", _udp(5072, lambda p, n: ayiya(_protocol(p), p))),
    Wrapping("ayiya-ethernet", _udp(5072, lambda p, n: ayiya(143, frame(p, n)[1])), framed=True),
    Wrapping("amt", _udp(2268, lambda p, n: b"\6\0" + p)),
    Wrapping("jmirror", _udp(30030, lambda p, n: b"\0\0\0\7\0\0\0\5" + p)),
    Wrapping("eoip", lambda p, n: ipv4(47, eoip(frame(p, n)[1])), framed=True),
    Wrapping("wccp-1", lambda p, n: ipv4(47, gre((0x883E, p))), takes=(IPV4,)),
    Wrapping("wccp-2", lambda p, n: ipv4(47, gre((0x883E, b"\x80\x5b\0\x11" + p)))),
    Wrapping("wccp-ipv6", lambda p, n: ipv4(47, gre((0x883E, p))), takes=(IPV6,)),
    Wrapping(
        "gre-frame-relay",
        lambda p, n: ipv4(47, gre((0x6559, RARE_LINKS["frame-relay"].frame(p)))),
    ),
    Wrapping("gre-ppp", lambda p, n: ipv4(47, gre((0x880B, ppp(p))))),
    Wrapping(
        "gre-source-routes",
        lambda p, n: ipv4(
            47, gre((kind_of(p), b"\0\0\0\0" + b"\x08\0\0\4\x0a\0\0\1" + bytes(4) + p), 0x4000)
        ),
    ),
    Wrapping("erspan-3-ip", lambda p, n: ipv4(47, erspan((0, p), 3, ip=True))),
    Wrapping("ethernet-in-ip", lambda p, n: ipv6(143, frame(p, n)[1]), framed=True),
    Wrapping("nsh-in-ip", lambda p, n: ipv4(145, nsh(_typed(p))[1])),
    Wrapping("nsh-nsh", lambda p, n: ipv4(47, gre(nsh(nsh(_typed(p)), 0)))),
    Wrapping("nsh-mpls", lambda p, n: ipv4(47, gre(nsh(mpls(_typed(p)))))),
    *_pseudowires(),
    *_controllers(),
    Wrapping("mpls-in-udp", _udp(6635, lambda p, n: mpls(_typed(p), 3)[1])),
)
"""Every wrapping over IP that is read."""


@dataclass(frozen=True)
class Carrier:
    """A link by its LINKTYPE_ number, and how it carries an IP packet; `mac` is that of the
    sender, None where the link tells none."""

    name: str
    number: int
    frame: Callable[[bytes], bytes]
    mac: bytes | None = CLIENT_MAC
    vlan: int | None = None
    takes: tuple[int, ...] = (IPV4, IPV6)


def checked(frame: bytes) -> bytes:
    """An Ethernet frame with its check sequence (IEEE 802.3 section 3.2.9)."""
    return frame + zlib.crc32(frame).to_bytes(4, "little")


def _wlans() -> list[Carrier]:
    found = []
    for ways in range(4):
        for qos, control in ((None, False), (0, False), (5, True)):
            name = f"wlan-to{ways & 1}-from{ways >> 1}"
            name += "" if qos is None else "-qos-ht" if control else "-qos"
            way = {"to": bool(ways & 1), "fro": bool(ways >> 1), "qos": qos, "control": control}
            found.append(Carrier(name, 105, lambda p, way=way: wlan(snap(p), **way)))
    return found


Tag = Callable[[Typed], Typed]

TAGS: dict[str, tuple[Tag, bytes | None]] = {
    "metadata": (tags.metadata, None),
    "fabricpath": (tags.fabricpath, inner_mac(90)),
    "vn-tag": (tags.vn_tag, None),
    "e-tag": (tags.e_tag, None),
    "pbb": (tags.pbb, inner_mac(91)),
    "macsec": (tags.macsec, None),
    "macsec-sci": (lambda inside: tags.macsec(inside, 0x20), None),
    "trill": (tags.trill, inner_mac(92)),
    "trill-options": (lambda inside: tags.trill(inside, 2), inner_mac(92)),
    "hsr": (tags.redundancy, None),
    "r-tag": (lambda inside: tags.redundancy(inside, 0xF1C1), None),
    "batman": (tags.batman, inner_mac(93)),
    "batman-4": (lambda inside: tags.batman(inside, 0x42), inner_mac(93)),
    "batman-broadcast": (lambda inside: tags.batman(inside, 0x01), inner_mac(93)),
    "gigamon": (tags.gigamon, None),
    "arista-64": (tags.arista, None),
    "arista-48": (lambda inside: tags.arista(inside, 0x0120), None),
    "lab-manager": (tags.lab_manager, inner_mac(94)),
    "jumbo": (tags.jumbo, None),
    "centrino": (tags.centrino, None),
}
"""Tags and headers before the content of an Ethernet frame, and the sender inside where they tell
one."""


def _tagged() -> list[Carrier]:
    """Ethernet with each tag alone, and with others around it: a carrier for each."""
    found = [
        Carrier(name, 1, lambda p, tag=tag: on_ethernet(tag(_typed(p))), mac or CLIENT_MAC)
        for name, (tag, mac) in TAGS.items()
    ]
    return [
        *found,
        Carrier("isl", 1, lambda p: tags.isl(_typed(p)), inner_mac(95), 21),
        Carrier(
            "snap-bridged",
            1,
            lambda p: tags.bridged(_typed(p), padded=True),
            inner_mac(96),
        ),
        Carrier("snap-tunnel", 1, lambda p: tags.snap_of(0x0000F8, tags.typed(_typed(p)))),
        Carrier("llc-ip", 1, lambda p: tags.by_length(b"\6\6\3" + p)),
        Carrier(
            "llc-nlpid",
            1,
            lambda p: tags.by_length(b"\xfe\xfe\3" + (b"\xcc" if p[0] >> 4 == 4 else b"\x8e") + p),
        ),
    ]


CARRIERS: tuple[Carrier, ...] = (
    *(
        Carrier(
            link.name,
            link.number,
            link.frame,
            mac(link.mac) if link.mac else None,
            link.vlan,
            tuple(kind for kind, version in ((IPV4, 4), (IPV6, 6)) if link.carries(version)),
        )
        for link in LINKS
    ),
    Carrier(
        "ethernet-llc",
        1,
        lambda p: GATEWAY_MAC + CLIENT_MAC + struct.pack(">H", min(len(p) + 8, 1500)) + snap(p),
    ),
    Carrier("mpls", 1, lambda p: on_ethernet(mpls(_typed(p)))),
    Carrier("mpls-3", 1, lambda p: on_ethernet(mpls(_typed(p), 3))),
    Carrier(
        "pseudowire", 1, lambda p: on_ethernet(mpls(frame(p, 99), control=True)), inner_mac(99)
    ),
    Carrier("pseudowire-bare", 1, lambda p: on_ethernet(mpls(frame(p, 99), 2)), inner_mac(99)),
    Carrier("pppoe", 1, lambda p: on_ethernet(pppoe(ppp(p, control=False)))),
    Carrier(
        "pppoe-vlan",
        1,
        lambda p: on_ethernet((0x8100, b"\0\x2a\x88\x64" + pppoe(ppp(p, control=False))[1])),
        vlan=42,
    ),
    Carrier("nsh", 1, lambda p: on_ethernet(nsh(_typed(p)))),
    Carrier("nsh-ethernet", 1, lambda p: on_ethernet(nsh(frame(p, 98))), inner_mac(98)),
    Carrier("bridged", 1, lambda p: on_ethernet(frame(p, 97)), inner_mac(97)),
    Carrier("ppp", 9, ppp, None),
    Carrier("ppp-bare", 9, lambda p: ppp(p, control=False), None),
    Carrier("ppp-short", 9, lambda p: ppp(p, control=False, short=True), None),
    Carrier("ppp-hdlc", 50, ppp, None),
    Carrier("ppp-ether", 51, lambda p: pppoe(ppp(p, control=False))[1], None),
    *_tagged(),
    *_wlans(),
    Carrier("wlan-amsdu", 105, lambda p: wlan(amsdu(p), qos=0x80)),
    Carrier("wlan-amsdu-4", 105, lambda p: wlan(amsdu(p), to=True, fro=True, qos=0x80)),
    Carrier("radiotap", 127, lambda p: radiotap(wlan(snap(p), qos=0))),
    Carrier("nflog-little", 239, nflog, None),
    Carrier("nflog-big", 239, lambda p: nflog(p, ">"), None),
    *(
        Carrier(name, link.number, link.frame, link.mac, takes=link.takes)
        for name, link in RARE_LINKS.items()
    ),
    Carrier("fddi", 10, lambda p: b"\x50" + GATEWAY_MAC + CLIENT_MAC + snap(p)),
    Carrier("mpackets", 274, lambda p: b"\x55" * 7 + b"\xd5" + checked(on_ethernet(_typed(p)))),
)
"""Every link that is read, and what an Ethernet link carries beside IP."""

CARRIER_FORMS: tuple[Carrier, ...] = tuple(
    Carrier(name, link.number, link.frame, link.mac, takes=link.takes)
    for name, link in FORMS.items()
)
"""Further forms of links."""


@dataclass(frozen=True)
class Wrapped:
    """A composition, innermost wrapping first."""

    carrier: Carrier
    wrappings: tuple[Wrapping, ...]

    @property
    def name(self) -> str:
        return " ".join([self.carrier.name, *(each.name for each in reversed(self.wrappings))])

    @property
    def mac(self) -> bytes | None:
        """The sender's address in the innermost frame there is."""
        framed = [at for at, each in enumerate(self.wrappings) if each.framed]
        return inner_mac(framed[0]) if framed else self.carrier.mac

    @property
    def vlan(self) -> int | None:
        """The innermost tag there is."""
        tags = [each.vlan for each in self.wrappings if each.vlan is not None]
        return tags[0] if tags else self.carrier.vlan

    def frames(
        self, packet: bytes, *, cuts: Mapping[int, Sequence[int]] = NOWHERE, ident: int = 1
    ) -> list[bytes]:
        """The frames that carry an IP packet: one, or those of its fragments where `cuts`
        says, by how many wrappings it has, where what has so many is cut."""
        packets = [packet]
        for number, each in enumerate([*self.wrappings, None]):
            if number in cuts:
                # both ends of every tunnel are the same
                idents = itertools.count((ident << 4 | number) << 7)
                packets = [
                    part
                    for whole in packets
                    for part in fragments(whole, cuts[number], next(idents))
                ]
            if each is not None:
                packets = [_fitting(each, whole, number) for whole in packets]
        out = []
        for whole in packets:
            if kind_of(whole) not in self.carrier.takes:
                whole = {IPV4: ipv4, IPV6: ipv6}[self.carrier.takes[0]](
                    4 if whole[0] >> 4 == 4 else 41, whole
                )
            out.append(self.carrier.frame(whole))
        return out


def _fitting(wrapping: Wrapping, packet: bytes, number: int) -> bytes:
    """The packet in the wrapping, in the version of IP first that it takes if it takes only one."""
    if kind_of(packet) not in wrapping.takes:
        packet = {IPV4: ipv4, IPV6: ipv6}[wrapping.takes[0]](_protocol(packet), packet)
    return wrapping.wrap(packet, number)
