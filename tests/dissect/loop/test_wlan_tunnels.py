"""Frames of IEEE 802.11 in tunnels: in fragments, in aggregates, protected, encrypted, and what
only looks like them."""

import struct
from collections.abc import Callable

import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import layers
from support.captures import dissector, observed, timed
from support.frames import CLIENT, tcp, udp

from netwatch.core.addresses import ip_text

NAMES = [f"n{number}.example.org" for number in range(6)]
ASKED = [udp(messages.query(number, name, "A")) for number, name in enumerate(NAMES)]
STATION = b"\2\0\0\0\0\x0a"
PORTS = (5247, 12222, 37008, 5000, 5555)
Tunnel = Callable[[bytes], bytes]


def air(content: bytes, **how: object) -> bytes:
    return layers.wlan(content, source=STATION, **how)  # type: ignore[arg-type]


def over_udp(port: int, data: bytes, sport: int = 49152) -> bytes:
    return layers.on_ethernet((layers.IPV4, layers.ipv4(17, layers.datagram(port, data, sport))))


TUNNELS: dict[str, Tunnel] = {
    "aruba": lambda frame: layers.on_ethernet(
        (layers.IPV4, layers.ipv4(47, layers.gre((0x8200, frame))))
    ),
    "capwap": lambda frame: over_udp(5247, layers.capwap(layers.swapped_control(frame))),
    "capwap-as-on-air": lambda frame: over_udp(5247, layers.capwap(frame)),
    "lwapp": lambda frame: over_udp(12222, layers.lwapp(frame)),
    "tzsp": lambda frame: over_udp(37008, layers.tzsp(frame, 18)),
    "mirror-radiotap": lambda frame: over_udp(5555, layers.radiotap(frame)),
    "mirror-pcap": lambda frame: over_udp(5555, layers.pcap_record(frame)),
}
EVERY_TUNNEL = pytest.mark.parametrize("tunnel", TUNNELS.values(), ids=TUNNELS.keys())


def read(*frames: bytes, snap: int = 1 << 18) -> tuple[list[str], dict[str, int]]:
    by = dissector()
    found = observed(timed(frames), snap=snap, by=by)
    return [each.name for each in found], dict(by.anomalies())


@EVERY_TUNNEL
@pytest.mark.parametrize("ways", range(4))
@pytest.mark.parametrize(("qos", "control"), [(None, False), (0, False), (5, True)])
def test_every_direction_and_header(
    tunnel: Tunnel, ways: int, qos: int | None, control: bool
) -> None:
    frame = air(
        layers.snap(ASKED[0]), to=bool(ways & 1), fro=bool(ways & 2), qos=qos, control=control
    )
    (found,) = observed(timed([tunnel(frame)]))
    assert (found.name, found.client_mac) == (NAMES[0], STATION)


@EVERY_TUNNEL
@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_packet_of_an_aggregate(tunnel: Tunnel, count: int) -> None:
    frame = air(layers.amsdu(*ASKED[:count], source=STATION), qos=0x80)
    by = dissector()
    found = observed(timed([tunnel(frame)]), by=by)
    assert [(each.name, each.client_mac) for each in found] == [
        (name, STATION) for name in NAMES[:count]
    ]
    assert by.anomalies() == {}


@EVERY_TUNNEL
def test_protected_frames_are_counted(tunnel: Tunnel) -> None:
    assert read(tunnel(air(b"\x11" * 60, protected=True))) == ([], {"wlan-protected": 1})
    assert read(tunnel(air(b"\x11" * 60, protected=True, qos=0))) == ([], {"wlan-protected": 1})


@pytest.mark.parametrize("name", ["aruba", "capwap", "lwapp", "tzsp"])
@pytest.mark.parametrize("head", [b"\x80\0", b"\x40\0", b"\xd4\0", b"\xb4\0"])
def test_frames_that_carry_no_packet(name: str, head: bytes) -> None:
    assert read(TUNNELS[name](head + bytes(60))) == ([], {"not-ip": 1})
    short = read(TUNNELS[name](head + bytes(8)))
    assert short[0] == []
    assert short[1] in ({"not-ip": 1}, {"link-header-cut": 1})


def test_aggregates_in_aggregates() -> None:
    """An aggregate in a tunnel in an aggregate: the outer one goes on, the inner one is read if it
    is the last."""
    inner = layers.ipv4(47, layers.gre((0x8200, air(layers.amsdu(ASKED[1], ASKED[2]), qos=0x80))))
    first = TUNNELS["aruba"](air(layers.amsdu(inner, ASKED[3]), qos=0x80))
    assert read(first) == ([NAMES[3]], {"wrapped-too-deep": 1})
    last = TUNNELS["aruba"](air(layers.amsdu(ASKED[0], inner), qos=0x80))
    assert read(last) == ([NAMES[0], NAMES[1], NAMES[2]], {})


@pytest.mark.parametrize("name", ["aruba", "capwap", "tzsp"])
@pytest.mark.parametrize(("times", "anomaly"), [(7, {}), (8, {"wrapped-too-deep": 1})])
def test_how_deep(name: str, times: int, anomaly: dict[str, int]) -> None:
    """Aggregates do not let anybody nest deeper than others: IP headers are counted through."""
    packet = ASKED[0]
    for _ in range(times):
        packet = TUNNELS[name](air(layers.amsdu(packet), qos=0x80))[14:]
    frame = layers.on_ethernet((layers.IPV4, packet))
    assert read(frame) == ([] if anomaly else [NAMES[0]], anomaly)


def test_the_names_after_one_that_is_not_read_in_an_aggregate() -> None:
    tagged = layers.ipv4(1, bytes(40))
    frame = TUNNELS["capwap"](air(layers.amsdu(tagged, ASKED[1], ASKED[2]), qos=0x80))
    assert read(frame) == ([NAMES[1], NAMES[2]], {"transport-unknown": 1})


# CAPWAP


def fragments(content: bytes, *cuts: int, ident: int = 7, sport: int = 49152) -> list[bytes]:
    return [over_udp(5247, part, sport) for part in layers.capwap_fragments(content, cuts, ident)]


@given(
    st.lists(st.integers(1, 60), max_size=8), st.integers(0, 2**16 - 1), st.randoms(), st.booleans()
)
def test_fragments_in_any_order(cuts: list[int], ident: int, order: object, native: bool) -> None:
    request = tcp(messages.request("GET", "/" + "x" * 400, NAMES[0]), dport=80)
    content = layers.swapped_control(air(layers.snap(request), qos=0))
    if not native:
        content = layers.frame(request, 3)[1]
    parts = layers.capwap_fragments(content, cuts, ident, native=native)
    order.shuffle(parts)  # type: ignore[attr-defined]
    by = dissector()
    (found,) = observed(timed([over_udp(5247, part) for part in parts]), by=by)
    assert (found.name, ip_text(found.client_ip), found.packet) == (NAMES[0], CLIENT, len(parts))
    assert found.client_mac == (STATION if native else layers.inner_mac(3))
    assert by.anomalies() == {}


def test_fragments_of_several_access_points_are_kept_apart() -> None:
    """Access points behind one address use their own ports, and the same fragment ids."""
    parts = [
        fragments(
            layers.swapped_control(
                air(layers.snap(tcp(messages.request("GET", "/", name), sport=port, dport=80)))
            ),
            4,
            sport=port,
        )
        for name, port in zip(NAMES, range(3000, 3006), strict=True)
    ]
    assert read(*(first for first, _ in parts), *(last for _, last in parts)) == (NAMES, {})


def test_fragments_of_a_packet_of_which_one_is_missing() -> None:
    request = tcp(messages.request("GET", "/", NAMES[0], "Cookie: " + "c" * 300), dport=80)
    first, _, _ = fragments(layers.swapped_control(air(layers.snap(request))), 20, 25)
    names, anomalies = read(first)
    assert names == [NAMES[0]]
    assert anomalies["ip-fragments-incomplete"] == 1
    _, second, _ = fragments(layers.swapped_control(air(layers.snap(request))), 20, 25)
    assert read(second) == ([], {"ip-fragments-incomplete": 1})


def test_fragments_of_another_radio_and_of_another_tunnel() -> None:
    content = layers.swapped_control(air(layers.snap(ASKED[0])))
    other = [
        over_udp(
            5247, part[:1] + (int.from_bytes(part[1:4]) & ~0x3E00 | 3 << 9).to_bytes(3) + part[4:]
        )
        for part in layers.capwap_fragments(content, (4,), 1)
    ]
    assert read(*other) == ([], {"wrapping-unknown": 1})
    mixed = [other[0], fragments(content, 4, ident=1)[1]]
    assert read(*mixed) == ([], {"ip-fragments-incomplete": 2, "wrapping-unknown": 1})


def test_a_fragment_inside_of_fragments_inside_of_fragments() -> None:
    packet = ASKED[0]
    frames: list[bytes] = []
    for depth in range(3):
        content = layers.swapped_control(air(layers.snap(packet), qos=0))
        first, second = fragments(content, 4, ident=depth)
        frames.append(first)
        packet = second[14:]
    frames.append(layers.on_ethernet((layers.IPV4, packet)))
    # Only the last fragment of each was wrapped again, so each becomes complete in turn.
    assert read(*frames) == ([NAMES[0]], {})


def test_records_of_dtls_in_capwap_are_counted_as_encrypted() -> None:
    for record in (b"\x17\xfe\xfd", b"\x16\xfe\xff", b"\x17\xfe\xfc"):
        frame = over_udp(5247, b"\1\0\0\0" + record + bytes(60))
        assert read(frame) == ([], {"encrypted-tunnel": 1})
    assert read(over_udp(5247, b"\1\0\0\0" + bytes(60))) == ([], {})


OTHERS = {
    "capwap-keep-alive": (over_udp(5247, layers.capwap(bytes(40))[:3] + b"\x08" + bytes(40)), {}),
    "capwap-version": (over_udp(5247, b"\x10" + layers.capwap(bytes(40))[1:]), {}),
    "capwap-without-header": (over_udp(5247, b"\0\x08\x43\0" + bytes(40)), {}),
    "capwap-header-beyond": (
        over_udp(5247, b"\0\xf8\x43\x20" + bytes(40)),
        {"wrapping-header-cut": 1},
    ),
    "capwap-other-radio": (
        over_udp(5247, b"\0\x10\x47\0" + bytes(60)),
        {"wrapping-unknown": 1},
    ),
    "capwap-no-version-of-a-frame": (
        over_udp(5247, layers.capwap(b"\x0b\x0b" + bytes(60))),
        {"wrapping-unknown": 1},
    ),
    "lwapp-control": (over_udp(12222, b"\x04\0\0\x28\0\0" + bytes(40)), {}),
    "lwapp-fragment": (over_udp(12222, b"\x02\0\0\x28\0\0" + bytes(40)), {"wrapping-unknown": 1}),
    "lwapp-of-another-length": (over_udp(12222, b"\0\0\0\x27\0\0" + bytes(40)), {}),
    "lwapp-beyond": (over_udp(12222, b"\0\0\1\0\0\0" + bytes(40)), {}),
    "tzsp-keep-alive": (over_udp(37008, b"\1\4\0\0"), {}),
    "tzsp-version": (over_udp(37008, b"\2\0\0\1\1" + bytes(40)), {}),
    "tzsp-without-end": (over_udp(37008, b"\1\0\0\1" + b"\x0a\1\0" * 20), {}),
    "tzsp-other-link": (over_udp(37008, b"\1\0\0\x02\1" + bytes(40)), {"wrapping-unknown": 1}),
    "mirror-header-beyond": (over_udp(5555, b"\0\xff\xab\xcd\2\0\0\1\0" + bytes(60)), {}),
    "mirror-of-a-beacon": (over_udp(5555, layers.radiotap(b"\x80\0" + bytes(60))), {}),
    "mirror-record-too-long": (
        over_udp(5555, layers.pcap_record(air(layers.snap(ASKED[0]))) + b"\0"),
        {},
    ),
}


@pytest.mark.parametrize(("frame", "anomalies"), OTHERS.values(), ids=OTHERS.keys())
def test_what_carries_no_frame_that_is_read(frame: bytes, anomalies: dict[str, int]) -> None:
    assert read(frame) == ([], anomalies)


@given(st.binary(max_size=80), st.sampled_from(PORTS), st.booleans())
def test_any_bytes_on_these_ports(data: bytes, port: int, back: bool) -> None:
    bare = messages.query(1, NAMES[0], "A")
    frame = over_udp(port, data) if not back else over_udp(49152, data, port)
    names, anomalies = read(frame, over_udp(port, bare))
    assert names == [NAMES[0]]
    assert sum(anomalies.values()) <= 2


@EVERY_TUNNEL
def test_where_a_frame_is_cut(tunnel: Tunnel) -> None:
    frame = tunnel(air(layers.amsdu(*ASKED[:2], source=STATION), qos=0x80))
    for snap in range(len(frame)):
        names, anomalies = read(frame, snap=snap)
        assert names == NAMES[: len(names)]
        assert len(names) + sum(anomalies.values()) >= 1, snap
        assert all(each.endswith("-cut") for each in anomalies), (snap, anomalies)


def test_a_header_of_pcap_with_times_that_cannot_be() -> None:
    frame = air(layers.snap(ASKED[0]))
    record = struct.pack(">IIII", 1700000000, 1000000, len(frame), len(frame)) + frame
    assert read(over_udp(5555, record))[0] == []
