"""tshark reads the same in every link and encapsulation, and in tunnels of real captures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import messages
import pytest
from support import layers, tshark
from support.captures import (
    dissector,
    enhanced,
    interface,
    observed,
    pcap,
    section,
    timed,
)
from support.frames import CLIENT6, SERVER6, tcp, udp
from support.tshark_captures import captured
from support.wrappings import CARRIER_FORMS, CARRIERS, WRAPPINGS, Wrapped

from netwatch.capture.files import open_source
from netwatch.core.message import LEARNING_SOURCES

pytestmark = tshark.needed

BY_NAME = {each.name: each for each in WRAPPINGS}

UNREAD: Mapping[str, str] = {
    "ethernet gre-vlan": "it does not know VLAN tags in GRE",
    "ethernet aruba-83a0": "it does not know this number",
    "ethernet aruba-9000": "it gives a name to this number and reads nothing",
    "ethernet erspan-3-ip": "it reads Ethernet alone in ERSPAN",
    "ethernet wccp-ipv6": "it takes the first bytes for a redirect header",
    "ethernet gue": "it does not know GUE",
    "ethernet gue-fields": "it does not know GUE",
    "ethernet gue-gre": "it does not know GUE",
    "ethernet gue-ip": "it does not know GUE",
    "ethernet lisp-gpe-ethernet": "it does not know LISP-GPE, and finds IP alone",
    "ethernet lisp-gpe-nsh": "it does not know LISP-GPE, and finds IP alone",
    "ethernet nsh-in-ip": "it does not know this IP protocol",
    "nflog-big": "it assumes the byte order of its own machine",
    "hdlc-directed": "it does not know the link type",
    "frame-relay-directed": "it does not know the link type",
}
"""What tshark does not read, with the reason."""

_CAPTURING = ["-d", "udp.port==5000,aruba_erm", "-d", "udp.port==5555,aruba_erm"]


def _pseudowire(cookie: int, sublayer: str, link: str) -> list[str]:
    settings = f"l2tp.cookie_size:cookie{cookie}", f"l2tp.l2_specific:{sublayer}"
    return ["-o", settings[0], "-o", settings[1], "-d", f"l2tp.pw_type==0,{link}"]


TOLD: Sequence[tuple[Sequence[str], Sequence[str]]] = (
    (["-o", "capwap.swap_fc:FALSE"], ["capwap-as-on-air"]),
    (["-o", "lwapp.swap_fc:TRUE"], ["lwapp-swapped"]),
    (["-o", "mp.short_seqno:TRUE"], ["pptp-multilink-short"]),
    *(
        ([*_CAPTURING, "-d", f"aruba_erm.type,aruba_erm_type{number}"], [f"mirror-{name}"])
        for number, name in (
            (0, "pcap"),
            (1, "peek"),
            (3, "pcap-radio"),
            (4, "ppi"),
            (6, "radiotap"),
        )
    ),
    *(
        (
            _pseudowire(cookie, "default" if sublayer else "none", "eth"),
            [f"l2tpv3-{cookie}{sublayer}", f"l2tpv3-udp-{cookie}{sublayer}"],
        )
        for cookie in (0, 4, 8)
        for sublayer in ("", "-sublayer")
    ),
    (_pseudowire(4, "none", "eth"), ["l2tpv3-vlans"]),
    (_pseudowire(8, "default", "ppp"), ["l2tpv3-ppp"]),
    (_pseudowire(0, "none", "ppp"), ["l2tpv3-ppp-bare"]),
    (_pseudowire(4, "none", "chdlc"), ["l2tpv3-hdlc"]),
    (_pseudowire(8, "none", "ip"), ["l2tpv3-ip"]),
)
"""Options that tell tshark what it cannot know, and the wrappings that it reads with these."""

L2TP = [each.name for each in WRAPPINGS if each.name.startswith("l2tp") and "v3" not in each.name]
"""tshark takes further datagrams from the client's port for L2TP, so these are read apart."""


def written(path: Path, given: Sequence[Wrapped]) -> None:
    """One query in each, for a name of its own."""
    links = sorted({each.carrier.number for each in given})
    out = [section(), *(interface(link) for link in links)]
    for number, wrapped in enumerate(given):
        query = messages.query(number, f"n{number}.example.org", "A")
        six = wrapped.carrier.takes == (layers.IPV6,)
        packet = udp(query, src=CLIENT6, dst=SERVER6) if six else udp(query)
        (frame,) = wrapped.frames(packet)
        out.append(enhanced(frame, number, on=links.index(wrapped.carrier.number)))
    path.write_bytes(b"".join(out))


def unread(path: Path, given: Sequence[Wrapped], options: Sequence[str] = ()) -> set[str]:
    written(path, given)
    names = [name for (name,) in tshark.fields(path, ["dns.qry.name"], options=options)]
    assert len(names) == len(given)
    return {
        given[number].name for number, name in enumerate(names) if name != f"n{number}.example.org"
    }


def on_ethernet(names: Sequence[str]) -> list[Wrapped]:
    return [Wrapped(CARRIERS[0], (BY_NAME[name],)) for name in names]


def test_every_wrapping_that_it_knows(tmp_path: Path) -> None:
    told = {name for _, names in TOLD for name in names}
    names = [each for each in BY_NAME if each not in told and each not in L2TP]
    given = [
        *(Wrapped(carrier, ()) for carrier in (*CARRIERS, *CARRIER_FORMS)),
        *on_ethernet(names),
    ]
    assert unread(tmp_path / "wrappings.pcapng", given) == set(UNREAD)
    assert unread(tmp_path / "l2tp.pcapng", on_ethernet(L2TP)) == set()


@pytest.mark.parametrize(("options", "names"), TOLD, ids=[names[0] for _, names in TOLD])
def test_wrappings_that_it_is_told_of(
    options: Sequence[str], names: Sequence[str], tmp_path: Path
) -> None:
    assert unread(tmp_path / "told.pcapng", on_ethernet(names), options) == set()


def test_wrappings_that_it_has_to_be_told_of(tmp_path: Path) -> None:
    given = on_ethernet([name for _, names in TOLD for name in names])
    assert unread(tmp_path / "plain.pcapng", given) == {each.name for each in given}


def test_packets_of_an_access_point_in_fragments(tmp_path: Path) -> None:
    frames = [
        layers.on_ethernet((layers.IPV4, layers.ipv4(17, layers.datagram(5247, part))))
        for number in range(20)
        for part in layers.capwap_fragments(
            layers.swapped_control(
                layers.wlan(
                    layers.snap(
                        tcp(
                            messages.request("GET", "/", f"n{number}.example.org"),
                            sport=20000 + number,
                            dport=80,
                        )
                    ),
                    qos=0,
                )
            ),
            (2, 3 + number),
            number,
        )
    ]
    path = tmp_path / "fragments.pcap"
    path.write_bytes(pcap(timed(frames)))
    shown = [host for (host,) in tshark.fields(path, ["http.host"]) if host]
    assert shown == [f"n{number}.example.org" for number in range(20)]
    assert [each.name for each in observed(timed(frames))] == shown


@captured("ndpi__capwap.pcap")
def test_what_stations_of_an_access_point_ask_for(path: Path) -> None:
    """Their DHCP and ARP is read, though the access point swaps bytes of their frames."""
    asked = tshark.fields(
        path, ["wlan.sa", "dhcp.type"], display_filter="capwap.data and (dhcp or arp)"
    )
    reader = dissector(learn_from=LEARNING_SOURCES)
    packets = [
        packet
        for block in open_source(str(path)).blocks()
        for packet, message in reader.messages(block, "test")
        if not message.names
    ]
    stations = {bytes.fromhex(mac.replace(":", "")) for mac, _ in asked}
    found = [packet for packet in packets if packet.src_mac in stations]
    assert len(asked) == 6
    assert len(found) >= 5
    assert {packet.src_mac for packet in found} == stations
    assert "wrapping-unknown" not in reader.anomalies()


@captured("arkime__80211http.pcap")
def test_frames_of_the_air_are_read_in_every_tunnel_that_carries_them(
    path: Path, tmp_path: Path
) -> None:
    """Its frames without their radiotap headers, in the tunnels of access points."""
    air = [
        bytes(block.data[start + block.data[start + 2] : start + size])
        for block in open_source(str(path)).blocks()
        for start, size in zip(block.records[1::6], block.records[2::6], strict=True)
    ]
    tunnels = {
        "aruba": lambda frame: layers.ipv4(47, layers.gre((0x8200, frame))),
        "capwap": lambda frame: layers.ipv4(
            17, layers.datagram(5247, layers.capwap(layers.swapped_control(frame)))
        ),
        "tzsp": lambda frame: layers.ipv4(17, layers.datagram(37008, layers.tzsp(frame, 18))),
        "lwapp": lambda frame: layers.ipv4(17, layers.datagram(12222, layers.lwapp(frame))),
    }
    for name, wrap in tunnels.items():
        frames = [layers.on_ethernet((layers.IPV4, wrap(frame))) for frame in air]
        capture = tmp_path / f"{name}.pcap"
        capture.write_bytes(pcap(timed(frames)))
        shown = [host for (host,) in tshark.fields(capture, ["http.host"]) if host]
        assert len(shown) == 7
        assert [each.name for each in observed(timed(frames))] == shown, name
