"""Packets that unfinished messages came in: what is kept, for how long, and how much."""

import random

import handshakes
import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.alerts import SECOND, frame
from support.captures import START, block, timed
from support.frames import SERVER, tcp, udp

from netwatch.dissect.dissector import Dissector
from netwatch.dissect.provenance import Trails
from netwatch.protocols import PROTOCOLS, looks_like

RAW = 101


def test_what_is_kept_comes_back_in_its_order_until_it_is_forgotten() -> None:
    trails = Trails()
    trails.follow("a", 0, (frame(2),))
    trails.follow("b", 0, (frame(3),))
    trails.follow("a", 1, (frame(1), frame(4)))
    assert [each.number for each in trails.of("a")] == [2, 1, 4]
    trails.forget("a")
    assert trails.of("a") == ()
    assert len(trails.of("b")) == 1
    assert trails.lost == 0


def test_a_packet_is_kept_once() -> None:
    trails = Trails()
    trails.follow("a", 0, (frame(1),))
    trails.follow("a", 0, (frame(1), frame(2)))
    assert [each.number for each in trails.of("a")] == [1, 2]


def test_more_trails_than_the_limit_lose_the_least_recent() -> None:
    trails = Trails(limit=2)
    for number, key in enumerate("abac"):
        trails.follow(key, 0, (frame(number),))
    assert [len(trails.of(key)) for key in "abc"] == [2, 0, 1]
    assert trails.lost == 1


def test_more_bytes_than_the_limit_lose_the_least_recent() -> None:
    trails = Trails(limit_bytes=250)
    for key in "abc":
        trails.follow(key, 0, (frame(1, 100),))
    assert [len(trails.of(key)) for key in "abc"] == [0, 1, 1]
    assert trails.lost == 1


def test_a_trail_of_too_many_packets_is_given_up() -> None:
    trails = Trails(limit_frames=3)
    for number in range(4):
        trails.follow("a", 0, (frame(number),))
    assert trails.of("a") == ()
    assert trails.lost == 1


def test_a_trail_that_lost_packets_is_not_begun_anew_before_it_is_forgotten() -> None:
    trails = Trails(limit=2, limit_frames=3, whole=True)
    for number in range(6):
        trails.follow("a", 0, (frame(number),))
    assert trails.of("a") == ()
    for key in "bcd":
        trails.follow(key, 0, (frame(1),))
    trails.follow("b", 0, (frame(2),))
    assert [len(trails.of(key)) for key in "abcd"] == [0, 0, 1, 1]
    assert trails.lost == 2
    for key in "ab":
        trails.forget(key)
        trails.follow(key, 0, (frame(9),))
    assert [len(trails.of(key)) for key in "ab"] == [1, 1]


def test_an_old_trail_goes_without_being_counted() -> None:
    trails = Trails(age=5 * SECOND)
    trails.follow("a", 0, (frame(1),))
    trails.follow("b", 6 * SECOND, (frame(2),))
    assert trails.of("a") == ()
    assert trails.lost == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 90), st.booleans()),
        max_size=80,
    )
)
def test_any_packets_keep_within_the_limits(steps: list) -> None:
    trails = Trails(limit=4, limit_bytes=300, limit_frames=5, age=4, whole=True)
    for key, now, size, over in steps:
        trails.follow(key, now, (frame(size, size),))
        if over:
            trails.forget(key)
        held = [kept for _, kept in trails._table.values()]
        assert len(held) <= 4
        assert len(trails._broken) <= 4
        assert all(len(kept) <= 5 for kept in held)
        assert trails._bytes == sum(len(each.data) for kept in held for each in kept) <= 300


def test_what_is_whole_leaves_nothing_behind() -> None:
    """A lookup, a segment of nothing, and the first packet of a flow to an address of
    interest, which alone is remembered."""
    by = Dissector(
        PROTOCOLS, looks_like, proving=lambda address: address == bytes([203, 0, 113, 10])
    )
    packets = [
        tcp(flags="S", seq=1000),
        tcp(b"nothing that is known at all", seq=1001),
        tcp(flags="S", seq=1000, dst="203.0.113.99"),
        udp(b"nothing", dst=SERVER, dport=9999),
    ]
    assert list(by.messages(block(timed(packets), 101), "test")) == []
    kept = by._kept
    assert kept is not None
    assert list(kept._messages._table) == []
    assert list(kept._firsts._table) == [("test", 1), ("test", 4)]
    assert len(kept._openings._table) == 3
    assert by.loop.candidates.total == 0


def test_what_came_in_fragments_that_grew_old_is_told_with_them() -> None:
    def begun(name: str, ident: int) -> bytes:
        """A datagram of which more is to come, and does not."""
        packet = bytearray(udp(messages.query(1, name, "A")))
        packet[4:8] = ident.to_bytes(2) + b"\x20\x00"
        return bytes(packet)

    frames = [(START, begun("a.example.org", 1)), (START + 120 * SECOND, begun("b.example.org", 2))]
    by = Dissector(PROTOCOLS, looks_like, proving=lambda address: True)
    found = [*by.messages(block(frames, RAW), "test"), *by.flush()]
    told = [(message.names[0].name, [each.number for each in p.frames]) for p, message in found]
    assert told == [("a.example.org", [1]), ("b.example.org", [2])]


def begun(kind: str, name: str, port: int) -> bytes:
    """The first packet of a message of which more is to come; the name is in it."""
    if kind == "http":
        head = f"GET / HTTP/1.1\r\nHost: {name}\r\nAccept".encode()
        return tcp(head, sport=port, dport=80)
    for seed in range(100):
        rng = random.Random(seed)
        if kind == "tls":
            hello = handshakes.client_hello(name, rng, post_quantum=True)[:1000]
            packet = tcp(handshakes.records(hello), sport=port)
        else:
            hello = handshakes.client_hello(name, rng, post_quantum=True, quic=1)[:1000]
            part = handshakes.crypto_frame(hello, 0, len(hello))
            packet = udp(
                handshakes.quic_initial(1, rng.randbytes(8), b"", 0, part), sport=port, dport=443
            )
        # extensions stand in any order, that of the name too
        if name.encode() in hello:
            return packet
    raise AssertionError(name)


@pytest.mark.parametrize("other", ["http", "tls", "quic"])
@pytest.mark.parametrize("kind", ["http", "tls", "quic"])
def test_what_waited_until_it_was_too_old_is_told_with_its_packets(kind: str, other: str) -> None:
    first, second = begun(kind, "a.example.org", 50001), begun(other, "b.example.org", 50002)
    by = Dissector(PROTOCOLS, looks_like, proving=lambda address: True)
    frames = [(START, first), (START + 120 * SECOND, second)]
    found = [*by.messages(block(frames, RAW), "test"), *by.flush()]
    told = [(message.names[0].name, [each.number for each in p.frames]) for p, message in found]
    assert told == [("a.example.org", [1]), ("b.example.org", [2])]


def test_what_goes_on_after_a_while_is_told_with_all_its_packets() -> None:
    record = handshakes.records(handshakes.client_hello("a.example.org", random.Random(1)))
    by = Dissector(PROTOCOLS, looks_like, proving=lambda address: True)
    frames = [(START, tcp(record[:99])), (START + 120 * SECOND, tcp(record[99:], seq=1100))]
    found = [*by.messages(block(frames, RAW), "test"), *by.flush()]
    told = [(message.names[0].name, [each.number for each in p.frames]) for p, message in found]
    assert told == [("a.example.org", [1, 2])]
