"""Tags between an Ethernet header and its content: read in every order, and counted by name where
they cannot be."""

import itertools
import struct

import messages
import pytest
from support import layers, tags
from support.captures import dissector, observed, timed
from support.frames import tcp, udp
from support.wrappings import TAGS

from netwatch.core.encapsulation import ETHER_TYPES, NOT_IP
from netwatch.dissect.loop.layout import MAX_ETHER_TYPES

NAME = "www.example.org"
PACKET = udp(messages.query(1, NAME, "A"))
INSIDE = (layers.IPV4, PACKET)
OUTER = {"vlan": tags.vlan, "service-vlan": lambda inside: tags.vlan(inside, 7, 0x88A8)}
UNREADABLE = {"wrapping-unknown": 1}


def read(*frames: bytes, snap: int = 1 << 18) -> tuple[list[str], dict[str, int]]:
    by = dissector()
    found = observed(timed(frames), snap=snap, by=by)
    return [each.name for each in found], dict(by.anomalies())


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("order", range(5))
def test_tags_and_vlan_tags_in_every_order(tag: str, order: int) -> None:
    """A VLAN tag before the tag, behind it, on both sides, and two of them."""
    around, mac = TAGS[tag]
    before, behind = (
        ((), ("vlan",)),
        (("vlan",), ()),
        (("service-vlan",), ("vlan",)),
        (("service-vlan", "vlan"), ()),
        ((), ("service-vlan", "vlan")),
    )[order]
    inside = INSIDE
    for name in reversed(behind):
        inside = OUTER[name](inside)
    inside = around(inside)
    for name in reversed(before):
        inside = OUTER[name](inside)
    by = dissector()
    (found,) = observed(timed([layers.on_ethernet(inside)]), by=by)
    assert (found.name, dict(by.anomalies())) == (NAME, {})
    assert found.vlan == 42
    assert found.client_mac == (mac or layers.CLIENT_MAC)


@pytest.mark.parametrize(("outer", "inner"), list(itertools.permutations(TAGS, 2)))
def test_every_tag_in_every_other(outer: str, inner: str) -> None:
    frame = layers.on_ethernet(TAGS[outer][0](TAGS[inner][0](INSIDE)))
    assert read(frame) == ([NAME], {})


def test_labels_that_are_rarer() -> None:
    """What no other reader knows, or reads differently."""
    rest = [
        tags.fine_grained(INSIDE),
        tags.ppp_by_type(INSIDE),
        tags.metadata(INSIDE, 3),
        tags.metadata(INSIDE, wrong=6),
        tags.arista(INSIDE, 0x0111),
        tags.vlan(INSIDE, 5, 0x9200),
        tags.vlan(INSIDE, 5, 0x9300),
    ]
    assert read(*map(layers.on_ethernet, rest)) == ([NAME] * len(rest), {})
    assert read(tags.bridged(INSIDE, padded=False)) == ([NAME], {})
    assert read(tags.isl(INSIDE, prefix=b"\3\0\x0c\0\0")) == ([NAME], {})


@pytest.mark.parametrize("control", [0, 0x20, 0x40, 0x43, 0x63])
@pytest.mark.parametrize("short", [False, True])
def test_the_check_value_of_macsec_is_no_payload(control: int, short: bool) -> None:
    """A query on a port that is not that of DNS is believed only if nothing is behind it. Its own
    lengths are 0 here, as before a card cuts packets, so only the SecTAG and the frame end it."""
    query = messages.query(1, "a.example", "A")
    packet = bytearray(udp(query[:10] + b"\0\0" + query[12:-11], dport=5300))
    packet[2:4] = packet[24:26] = b"\0\0"
    inside = (layers.IPV4, bytes(packet))
    length, padding = (2 + len(packet), bytes(9)) if short else (0, b"")
    assert length < 64
    frame = layers.on_ethernet(tags.macsec(inside, control, length=length, behind=padding))
    assert read(frame) == (["a.example"], {})


@pytest.mark.parametrize("control", [0x08, 0x0C, 0x2C, 0x04, 0x24])
def test_macsec_that_hides_its_text_is_an_encrypted_link(control: int) -> None:
    frame = layers.on_ethernet(tags.macsec(INSIDE, control))
    assert read(frame) == ([], {"encrypted-link": 1})
    assert read(layers.on_ethernet(tags.vlan(tags.macsec(INSIDE, control)))) == (
        [],
        {"encrypted-link": 1},
    )


BAD = {
    "macsec-version": tags.macsec(INSIDE, version=1),
    "trill-version": (tags.TRILL, b"\x40\x3f" + tags.trill(INSIDE)[1][2:]),
    "batman-version": tags.batman(INSIDE, version=14),
    "batman-fragment": (0x4305, b"\x41\x0f" + bytes(60)),
    "batman-coded": (0x4305, b"\x02\x0f" + bytes(60)),
    "gigamon-length": (0x22E5, b"\0" + bytes(60)),
    "arista-test-traffic": (0xD28B, b"\xca\xfe\0\1" + bytes(60)),
    "arista-version": (0xD28B, b"\0\1\0\x30" + bytes(60)),
    "lab-manager-fragment": tags.lab_manager(INSIDE, flags=4),
    "lwapp": (0x88BB, bytes(60)),
    "6lowpan": (0xA0ED, bytes(60)),
}


@pytest.mark.parametrize("inside", BAD.values(), ids=BAD)
@pytest.mark.parametrize("tagged", [False, True])
def test_what_is_not_read_behind_a_known_type(inside: layers.Typed, tagged: bool) -> None:
    frame = layers.on_ethernet(tags.vlan(inside) if tagged else inside)
    assert read(frame) == ([], UNREADABLE)


def test_what_maintains_a_mesh_is_no_ip() -> None:
    assert read(layers.on_ethernet((0x4305, b"\0\x0f" + bytes(60)))) == ([], {"not-ip": 1})


def test_a_giant_frame_of_an_inter_switch_link() -> None:
    """Its length is one that only an EtherType has elsewhere."""
    large = tcp(messages.request("GET", "/" + "x" * 1700, NAME), dport=80)
    frame = tags.isl((layers.IPV4, large), most=0xFFFF)
    assert int.from_bytes(frame[12:14]) > 0x600
    assert read(frame) == ([NAME], {})


def test_an_inter_switch_link_of_another_medium_is_not_read() -> None:
    assert read(tags.isl(INSIDE, kind=2)) == ([], UNREADABLE)


@pytest.mark.parametrize(
    ("frame", "anomaly"),
    [
        (tags.snap_of(0x00000C, b"\x20\0" + bytes(60)), "not-ip"),
        (tags.snap_of(0x00000C, b"\x01\x0b" + bytes(60)), "not-ip"),
        (tags.snap_of(0x080007, b"\x80\x9b" + bytes(60)), "not-ip"),
        (tags.snap_of(0x0080C2, b"\0\x0e" + bytes(60)), "not-ip"),
        (tags.snap_of(0, b"\x88\xcc" + bytes(60)), "not-ip"),
        (tags.snap_of(0, b"\x77\x77" + bytes(60)), "wrapping-unknown-0x7777"),
        (tags.by_length(b"\x42\x42\3" + bytes(43)), "not-ip"),
        (tags.by_length(b"\x42\x42\3"), "not-ip"),
        (tags.by_length(b"\xfe\xfe\3\x83" + bytes(43)), "not-ip"),
        (tags.by_length(b"\xff\xff" + bytes(43)), "not-ip"),
        (tags.by_length(b"\xf0\xf0\x7f"), "not-ip"),
    ],
)
def test_what_llc_carries_besides(frame: bytes, anomaly: str) -> None:
    assert read(frame) == ([], {anomaly: 1})


# EtherTypes


def typed_frame(number: int) -> bytes:
    return layers.on_ethernet((number, bytes(60)))


def test_protocols_that_are_not_ip_are_no_fault() -> None:
    numbers = [number for number, _, _ in NOT_IP]
    assert {0x8035, 0x88CC, 0x888E, 0x8809, 0x88F7, 0x88A2, 0x8863} <= set(numbers)
    assert read(*map(typed_frame, numbers)) == ([], {"not-ip": len(numbers)})


@pytest.mark.parametrize("number", [0x0600, 0x7777, 0x88B5, 0xFFFF])
def test_an_unknown_type_is_an_unknown_wrapping_with_its_number(number: int) -> None:
    known = {row.number for row in ETHER_TYPES}
    expected = {f"wrapping-unknown-{number:#06x}": 2} if number not in known else {"not-ip": 2}
    frames = typed_frame(number), layers.on_ethernet(tags.vlan((number, bytes(40))))
    assert read(*frames) == ([], expected)


@pytest.mark.parametrize("backwards", [False, True])
def test_of_too_many_unknown_types_the_least_are_named(backwards: bool) -> None:
    """In whatever order they come, and nothing is lost."""
    numbers = [0x7000 + at for at in range(MAX_ETHER_TYPES + 5)]
    frames = [typed_frame(number) for number in numbers] * 3
    _, anomalies = read(*(reversed(frames) if backwards else frames))
    named = {f"wrapping-unknown-{number:#06x}": 3 for number in numbers[:MAX_ETHER_TYPES]}
    assert anomalies == {**named, "wrapping-unknown": 15}


def test_a_known_type_in_every_tag_is_still_no_ip() -> None:
    for around, _ in TAGS.values():
        frame = layers.on_ethernet(around((0x88CC, bytes(60))))
        assert read(frame) == ([], {"not-ip": 1})
        frame = layers.on_ethernet(around((0x7777, bytes(60))))
        assert read(frame) == ([], {"wrapping-unknown-0x7777": 1})


def test_tags_that_never_end_are_given_up() -> None:
    for kind, size in ((0x8926, 4), (0x893F, 6), (0xF1C1, 4), (0x893B, 2), (0x8909, 6)):
        unit = bytes(size) + struct.pack(">H", kind)
        frame = layers.on_ethernet((kind, unit * 1000))
        assert read(frame) == ([], {"wrapped-too-deep": 1})
