"""L2TP version 3, whose messages do not say what is in them: what is found is what was sent, and
nothing is found where nothing is."""

import struct

import messages
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support import layers
from support.captures import block, dissector, observed, timed
from support.frames import CLIENT6, SERVER6, tcp, udp

NAME = "www.example.org"
QUERY = udp(messages.query(1, NAME, "A"))
QUERY6 = udp(messages.query(1, NAME, "A"), src=CLIENT6, dst=SERVER6)


def read(packet: bytes) -> tuple[list[str], dict[str, int]]:
    by = dissector()
    frame = layers.on_ethernet((layers.kind_of(packet), packet))
    found = observed(timed([frame]), by=by)
    return [each.name for each in found], dict(by.anomalies())


def carried(content: bytes, cookie: int, sublayer: bool, udp: bool) -> bytes:
    message = layers.l2tpv3(content, cookie, sublayer=sublayer, udp=udp)
    if udp:
        return layers.ipv4(17, layers.datagram(1701, message, 1701))
    return layers.ipv4(115, message)


LINKS = {
    "ethernet": lambda packet: layers.frame(packet, 3)[1],
    "tagged": lambda packet: layers.frame(packet, 3, vlans=(5,))[1],
    "twice-tagged": lambda packet: layers.frame(packet, 3, vlans=(6, 5))[1],
    "ppp": layers.ppp,
    "ppp-bare": lambda packet: layers.ppp(packet, control=False),
    "hdlc": lambda packet: b"\x0f\0" + struct.pack(">H", layers.kind_of(packet)) + packet,
    "hdlc-broadcast": lambda packet: b"\x8f\0" + struct.pack(">H", layers.kind_of(packet)) + packet,
    "ip": lambda packet: packet,
}


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("sublayer", [False, True])
@pytest.mark.parametrize("cookie", [0, 4, 8])
@pytest.mark.parametrize("link", LINKS)
def test_every_link_behind_every_header(link: str, cookie: int, sublayer: bool, udp: bool) -> None:
    for packet in (QUERY, QUERY6):
        content = LINKS[link](packet)
        assert read(carried(content, cookie, sublayer, udp)) == ([NAME], {})


@given(
    st.sampled_from(sorted(LINKS)),
    st.binary(min_size=8, max_size=8),
    st.binary(min_size=4, max_size=4),
    st.sampled_from((0, 4, 8)),
    st.booleans(),
)
def test_whatever_the_session_and_its_cookie(
    link: str, cookie: bytes, session: bytes, size: int, sublayer: bool
) -> None:
    assume(session != bytes(4))
    content = session + cookie[:size] + (b"\x40\0\0\1" if sublayer else b"") + LINKS[link](QUERY)
    assert read(layers.ipv4(115, content)) == ([NAME], {})


@pytest.mark.parametrize("behind", [0, 4])
def test_a_frame_that_was_padded(behind: int) -> None:
    request = tcp(b"", flags="A")
    frame = layers.frame(request, 3)[1]
    short = frame.ljust(60, b"\0") + bytes(behind)
    assert len(frame) < 60
    assert read(carried(short, 4, False, False)) == ([], {})
    assert read(carried(frame.ljust(65, b"\0"), 4, False, False)) == ([], {"wrapping-unknown": 1})


def test_arp_inside_tells_of_devices() -> None:
    mac = layers.inner_mac(3)
    arp = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2) + mac + b"\x0a\1\2\3" + mac + b"\x0a\1\2\3"
    frame = b"\xff" * 6 + mac + b"\x08\x06" + arp + bytes(18)
    packet = layers.on_ethernet((layers.IPV4, carried(frame, 8, True, False)))
    by = dissector(learn_from=["arp"])
    ((found, _),) = by.messages(block(timed([packet])), "test")
    assert found.src_mac == mac


@given(st.binary(max_size=120), st.booleans())
def test_nothing_is_found_in_any_bytes(data: bytes, over_udp: bool) -> None:
    """Neither a name nor a flow: the bytes would have to contain an IP packet that ends with
    them."""
    message = (b"\0\3\0\0" if over_udp else b"") + b"\0\0\0\7" + data
    packet = (
        layers.ipv4(17, layers.datagram(1701, message)) if over_udp else layers.ipv4(115, message)
    )
    names, anomalies = read(packet)
    assert names == []
    assert anomalies in ({"wrapping-unknown": 1}, {"not-ip": 1})


@given(st.binary(max_size=40), st.binary(min_size=1, max_size=40))
def test_a_packet_that_does_not_end_with_the_message_is_not_read(
    before: bytes, behind: bytes
) -> None:
    assume(len(before) not in (0, 4, 8, 12))
    request = tcp(messages.request("GET", "/", NAME), dport=80)
    assert read(layers.ipv4(115, b"\0\0\0\7" + before + request))[0] == []
    assert read(layers.ipv4(115, b"\0\0\0\7" + request + behind))[0] == []


def test_control_messages() -> None:
    control = b"\0\0\0\0\xc8\3\0\x14" + bytes(12)
    assert read(layers.ipv4(115, control)) == ([], {"not-ip": 1})
    over_udp = b"\xc8\3\0\x14" + bytes(16)
    assert read(layers.ipv4(17, layers.datagram(1701, over_udp))) == ([], {})
    assert read(layers.ipv4(17, layers.datagram(1701, b"\0\3\0\0" + bytes(40)))) == ([], {})


def test_version_2_from_a_server_to_any_port() -> None:
    packet = layers.ipv4(17, layers.datagram(40000, layers.l2tp(layers.ppp(QUERY)), 1701))
    assert read(packet) == ([NAME], {})
