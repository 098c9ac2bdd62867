"""IP fragments: in any order, repeated, overlapping, too many, too old, never complete."""

import random
from dataclasses import replace
from itertools import permutations

import handshakes
import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import layers
from support.captures import START, block, dissector, observed, timed
from support.frames import CLIENT, CLIENT6, GATEWAY, LINKS, MAC, SERVER, SERVER6, tcp, udp
from support.wrappings import CARRIERS, WRAPPINGS, Wrapped

from netwatch.core.addresses import ip_text
from netwatch.core.flow import NAME_STATUSES
from netwatch.core.message import Packet
from netwatch.dissect.reassembly.fragments import MORE_FRAGMENTS, Defragmenter

NAME = "www.example.org"
RAW = 101
ENDS = {4: (CLIENT, SERVER), 6: (CLIENT6, SERVER6)}
SECOND = 1_000_000_000


def datagrams(version: int) -> dict[str, tuple[list[bytes], str]]:
    """Packets that show the name, with the evidence; each is larger than a fragment."""
    rng = random.Random(version)
    client, server = ENDS[version]
    hello = handshakes.records(handshakes.client_hello(NAME, rng, post_quantum=True))
    aliases = [(NAME, "CNAME", 60, "cdn.example.org"), ("cdn.example.org", "A", 60, SERVER)] * 30
    answer = messages.answer(7, NAME, "A", aliases)
    (initial,) = handshakes.quic_hello(1, NAME, rng)
    request = messages.request("GET", "/", NAME, "Accept: " + "x" * 900)
    out, back = {"src": client, "dst": server}, {"src": server, "dst": client}
    return {
        "hello": ([tcp(hello, **out)], "tls-sni"),
        "initial": ([udp(initial, dport=443, **out)], "quic-sni"),
        "answer": ([udp(answer, sport=53, dport=50000, **back)], "dns-answer"),
        "request": ([tcp(request, dport=80, **out)], "http-host"),
    }


KINDS = ("hello", "initial", "answer", "request")


def read(packets: list[bytes], link: int = RAW, gap: int = 1_000_000) -> tuple[list, dict]:
    reader = dissector()
    found = observed(timed(packets, gap=gap), link, by=reader)
    return [(each.evidence, each.name) for each in found], dict(reader.anomalies())


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_in_any_order(kind: str, version: int) -> None:
    (packet,), evidence = datagrams(version)[kind]
    pieces = layers.fragments(packet, (20, 60, 100))
    assert len(pieces) == 4
    for order in permutations(pieces):
        found, anomalies = read([*order])
        assert found.count((evidence, NAME)) == 1
        assert anomalies == {}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_cut_anywhere_repeated_and_shuffled(kind: str, version: int, data: st.DataObject) -> None:
    (packet,), evidence = datagrams(version)[kind]
    cuts = data.draw(st.lists(st.integers(1, 130), min_size=1, max_size=9))
    pieces = layers.fragments(packet, cuts)
    # An answer whose first fragment is repeated after it was complete is observed again.
    twice = pieces[kind == "answer" :]
    pieces += data.draw(st.lists(st.sampled_from(twice), max_size=4)) if twice else []
    found, _ = read(data.draw(st.permutations(pieces)))
    assert found.count((evidence, NAME)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_observation_is_of_the_packet_that_completed_the_datagram(kind: str) -> None:
    (packet,), evidence = datagrams(4)[kind]
    pieces = layers.fragments(packet, (20, 60))
    link = LINKS[1]
    frames = timed([link.frame(each) for each in (pieces[2], pieces[0], pieces[1])])
    found = [each for each in observed(frames, link.number) if each.evidence == evidence]
    (each,) = [each for each in found if each.name == NAME]
    assert (each.packet, each.time) == (3, START + 2_000_000)
    assert (ip_text(each.client_ip), ip_text(each.server_ip)) == (CLIENT, SERVER)
    # The frame of the answer has the same direction here, so its client has the other MAC.
    assert each.client_mac == layers.mac(GATEWAY if kind == "answer" else MAC)
    assert each.vlan == link.vlan


def test_datagrams_are_told_apart_by_identification_and_addresses() -> None:
    names = [f"n{number}.example.org" for number in range(4)]
    packets = [udp(messages.query(1, name, "A")) for name in names[:2]]
    packets += [udp(messages.query(1, names[2], "A"), src="10.20.1.8")]
    packets += [udp(messages.query(1, names[3], "A"), dst="203.0.113.11")]
    pieces = [
        layers.fragments(packet, (2, 4), ident)
        for packet, ident in zip(packets, (5, 6, 5, 5), strict=True)
    ]
    mixed = [each[at] for at in (2, 0, 1) for each in pieces]
    assert sorted(name for _, name in read(mixed)[0]) == names


def test_a_reused_identification_is_another_datagram() -> None:
    one, two = (
        layers.fragments(udp(messages.query(1, name, "A")), (2,), 5)
        for name in ("one.example.org", "two.example.org")
    )
    found, anomalies = read([*one, *two])
    assert [name for _, name in found] == ["one.example.org", "two.example.org"]
    assert anomalies == {}


def test_in_every_encapsulation_on_every_link() -> None:
    hello = handshakes.records(handshakes.client_hello(NAME, random.Random(6), post_quantum=True))
    for carrier in CARRIERS:
        frames, given = [], {}
        for wrapping in WRAPPINGS[:: 1 if carrier is CARRIERS[0] else 27]:
            for cut in (0, 1):
                port = 2000 + len(given)
                given[port] = f"{wrapping.name}, cut {cut}"
                packet = tcp(hello, src=CLIENT6, sport=port, dst=SERVER6)
                wrapped = Wrapped(carrier, (wrapping,))
                frames += wrapped.frames(packet, cuts={cut: (30, 90)}, ident=port)[::-1]
        reader = dissector()
        told = observed(timed(frames), carrier.number, by=reader)
        assert [given[each.client_port] for each in told] == [*given.values()], carrier.name
        assert {(each.evidence, each.name) for each in told} == {("tls-sni", NAME)}
        assert dict(reader.anomalies()) == {}, carrier.name


def test_the_innermost_mac_and_vlan_are_used_in_fragments_too() -> None:
    wrapping = next(each for each in WRAPPINGS if each.name == "vxlan-vlan")
    wrapped = Wrapped(CARRIERS[1], (wrapping,))
    for cut in (0, 1):
        frames = wrapped.frames(datagrams(4)["hello"][0][0], cuts={cut: (40,)})
        (found,) = observed(timed(frames))
        assert (found.client_mac, found.vlan) == (wrapped.mac, 7)


# incomplete datagrams


@pytest.mark.parametrize("version", [4, 6])
def test_an_incomplete_datagram_is_read_when_the_capture_ends(version: int) -> None:
    (packet,), evidence = datagrams(version)["request"]
    pieces = layers.fragments(packet, (20, 60))
    assert read(pieces[:2])[0] == [(evidence, NAME)]
    assert read(pieces[:2])[1]["ip-fragments-incomplete"] == 1
    for some in (pieces[1:], pieces[:1] + pieces[2:]):
        found, anomalies = read(some)
        assert len(found) == (some[0] == pieces[0])
        assert anomalies["ip-fragments-incomplete"] == 1


def test_a_datagram_that_times_out_is_read_as_far_as_it_came() -> None:
    (packet,), evidence = datagrams(4)["request"]
    first, second = layers.fragments(packet, (60,))
    late = udp(b"", dport=9)
    other = layers.fragments(udp(bytes(64)), (2,), 99)
    reader = dissector()
    frames = [(START, first), (START + 31 * SECOND, late), (START + 31 * SECOND, other[0])]
    found = list(reader.messages(block(frames, RAW), "test"))
    assert [shown.evidence for _, message in found for shown in message.names] == [evidence]
    assert reader.anomalies()["ip-fragments-incomplete"] == 1
    found = observed([(START, first), (START + 29 * SECOND, second)], RAW)
    assert [each.evidence for each in found] == [evidence]


# hostile fragments


def piece(packet: bytes, start: int, end: int, ident: int = 7) -> bytes:
    """The bytes from `start` to `end` after the IPv4 header of a packet, as a fragment."""
    head, data = packet[:20], packet[20:]
    at = (20 + end - start).to_bytes(2) + ident.to_bytes(2)
    at += ((end < len(data)) << 13 | start >> 3).to_bytes(2)
    return head[:2] + at + head[8:] + data[start:end]


PACKET = udp(messages.query(1, NAME, "A"))
EVIL = PACKET.replace(b"example", b"elpmaxe")
SIZE = len(PACKET) - 20
BOTH = [("dns-query", NAME), ("dns-query", NAME.replace("example", "elpmaxe"))]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_where_fragments_overlap_the_datagram_is_read_with_either(order: tuple[int, int]) -> None:
    parts = [piece(PACKET, 0, 32), piece(EVIL, 24, SIZE)]
    assert read([parts[at] for at in order]) == (BOTH, {"ip-fragment-overlap": 1})


@pytest.mark.parametrize("first", [(0, 32), (0, 40)])
def test_of_two_fragments_at_one_offset_the_datagram_is_read_with_either(
    first: tuple[int, int],
) -> None:
    second = (0, 72 - first[1])
    parts = [piece(PACKET, *first), piece(EVIL, *second), piece(PACKET, 40, SIZE)]
    assert read(parts) == (BOTH, {"ip-fragment-overlap": 1})
    parts = [piece(PACKET, *first), piece(PACKET, *second), piece(PACKET, 40, SIZE)]
    assert read(parts)[0] == BOTH[:1]


def test_a_fragment_may_belong_to_two_datagrams() -> None:
    """The first fragment came once, with two fragments of other bytes behind it."""
    first, *rest = piece(PACKET, 0, 24), piece(PACKET, 24, SIZE), piece(EVIL, 24, SIZE)
    assert read([first, *rest]) == (BOTH, {"ip-fragment-overlap": 1})
    assert read([first, rest[0], rest[0]]) == (BOTH[:1], {"ip-fragment-repeated": 1})
    # Later, it is the fragment of a datagram that has the same number by chance.
    found, anomalies = read([first, *rest], gap=3 * SECOND)
    assert (found, anomalies) == (BOTH[:1], {"ip-fragments-incomplete": 1})


def packet_from(number: int) -> Packet:
    """A packet from another source address for each number."""
    ends = number.to_bytes(4), b"\xcb\0\x71\x0a"
    return Packet("test", 1, START, 9, "udp", ends[0], 0, ends[1], 0, None, None, None, 0)


def row(offset: int, size: int, ident: int = 1, *, more: bool = True) -> tuple[int, ...]:
    at = offset | (MORE_FRAGMENTS if more else 0)
    return (7, 0, 0, size, size, 0, 0, 0, 4, -1, -1, -1, at, ident, 0, 17)


def test_of_too_many_datagrams_the_oldest_is_dropped() -> None:
    table = Defragmenter(max_datagrams=3)
    reassembled = [table.feed(row(0, 8), b"datagram", packet_from(number)) for number in range(5)]
    assert [len(each) for each in reassembled] == [0, 0, 0, 1, 1]
    assert table.anomalies == {"ip-fragments-incomplete": 2}
    assert len(list(table.flush())) == 3
    assert list(table.flush()) == []


def test_of_too_many_bytes_the_oldest_datagram_is_dropped() -> None:
    table = Defragmenter(max_bytes=2500)
    reassembled = [
        table.feed(row(0, 1000), bytes(1000), packet_from(number)) for number in range(4)
    ]
    assert [len(each) for each in reassembled] == [0, 0, 1, 1]


def test_a_datagram_with_too_many_fragments_takes_no_more() -> None:
    table = Defragmenter(max_fragments=4)
    for at in range(6):
        assert table.feed(row(16 * at, 8), bytes(8), packet_from(1)) == []
    assert table.anomalies == {"ip-fragments-many": 2}
    assert table.feed(row(0, 16), bytes(16), packet_from(1)) == []
    assert table.anomalies == {"ip-fragments-many": 2}


def test_a_fragment_that_ends_beyond_64_kib_is_not_buffered() -> None:
    table = Defragmenter(max_datagrams=2)
    for number in range(100):
        assert table.feed(row(0xFFF8, 8), bytes(8), packet_from(number)) == []
    assert table.anomalies == {"ip-fragment-too-long": 100}
    assert list(table.flush()) == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40),
            st.binary(max_size=40),
            st.integers(0, 3),
            st.booleans(),
            st.integers(0, 60),
        ),
        max_size=60,
    )
)
def test_any_fragments_stay_within_the_limits(parts: list) -> None:
    table = Defragmenter(max_datagrams=2, max_bytes=200, max_fragments=5)
    blocks = []
    for offset, data, number, more, seconds in parts:
        packet = replace(packet_from(number), time=START + seconds * SECOND)
        blocks += table.feed(row(8 * offset, len(data), more=more), data, packet)
        assert len(table._table) <= 2
        pieces = [
            len(data)
            for each in table._table.values()
            for data in (*each.by_offset.values(), *each.others.values())
        ]
        assert table._bytes == sum(pieces) <= 200
        assert all(len(each.by_offset) <= 5 for each in table._table.values())
    blocks += table.flush()
    assert table._bytes == 0
    assert all(each.count == 1 and len(each.data) <= 20 + 8 * 40 + 40 for each, *_ in blocks)


# nested datagrams


def nested(levels: int) -> list[bytes]:
    """A query in datagrams whose last fragments are each in the next datagram, so that the last
    packet completes all of them."""
    early, last = [], PACKET
    for level in range(levels):
        whole = last if level == 0 else layers.ipv4(4, last)
        size = len(whole) - 20
        early.append(piece(whole, 0, 16, level + 1))
        last = piece(whole, 16, size, level + 1)
    return [*early, last]


@pytest.mark.parametrize(("levels", "anomaly"), [(1, 0), (8, 0), (9, 1), (300, 292)])
def test_fragments_in_fragments_up_to_a_limit(levels: int, anomaly: int) -> None:
    found, anomalies = read(nested(levels))
    assert len(found) == (anomaly == 0)
    assert anomalies.get("wrapped-too-deep", 0) == min(anomaly, 1)


def test_a_fragment_in_an_incomplete_datagram_is_read_too() -> None:
    """An incomplete datagram that contains the first fragment of another one."""
    request = tcp(messages.request("GET", "/", NAME, "Accept: " + "x" * 900), dport=80)
    inner = piece(request, 0, 400, 3)
    outer = layers.ipv4(4, inner + bytes(80))
    found, anomalies = read([piece(outer, 0, 440, 4)])
    assert found == [("http-host", NAME)]
    assert anomalies["ip-fragments-incomplete"] == 2


def test_flows_have_the_right_packet_numbers_after_a_reassembly() -> None:
    """More candidates than one list of rows has room for, the first a datagram in fragments."""
    pieces = layers.fragments(PACKET, (2,))
    hello = handshakes.records(handshakes.client_hello(NAME, random.Random(1)))
    packets = [*pieces, *[PACKET] * 5000, tcp(hello)]
    reader = dissector(name_status=lambda message: NAME_STATUSES.index("ech"))
    for _ in reader.messages(block(timed(packets), RAW), "test"):
        pass
    assert [flow.packet for flow in (*reader.flows(), *reader.end_flows())] == [len(packets)]
