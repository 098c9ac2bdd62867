"""The flow table through the loop: bounded, counted, one name for one conversation."""

import random

import handshakes
import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captures import START, Frames, Row, rows, timed
from support.frames import CLIENT, CLIENT6, SERVER, SERVER6, tcp, udp

from netwatch.dissect.loop.layout import KIND_MORE as MORE
from netwatch.dissect.loop.loop import Loop
from netwatch.protocols import DNS_TCP, HTTP, TLS

RAW = 101
HELLO = handshakes.records(handshakes.client_hello("www.example.org", random.Random(1)))
LARGE = handshakes.records(
    handshakes.client_hello("www.example.org", random.Random(2), post_quantum=True)
)
REQUEST = messages.request("GET", "/", "www.example.org")
NOISE = b"\x99" * 40


def walk(loop: Loop, *packets: bytes) -> list[Row]:
    return rows(loop, timed(packets), RAW)


def kinds(loop: Loop, *packets: bytes) -> list[int]:
    return [row.kind for row in walk(loop, *packets)]


@pytest.mark.parametrize("slots", [0, 1, 2, 4, 7, 9, 12, 100, -8])
def test_slots_are_a_power_of_two(slots: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        Loop(slots)


@pytest.mark.parametrize(("one", "other"), [(CLIENT, SERVER), (CLIENT6, SERVER6)])
@given(st.integers(1024, 65535), st.integers(1024, 65535), st.integers(0, 2**40))
def test_both_directions_are_one_flow(
    one: str, other: str, here: int, there: int, seed: int
) -> None:
    out = tcp(REQUEST, src=one, sport=here, dst=other, dport=there)
    back = tcp(REQUEST, src=other, sport=there, dst=one, dport=here)
    first, second = walk(Loop(8, seed=seed), out, back)
    assert first.flow == second.flow > 0
    assert {first.side, second.side} == {0, 1}


def test_ends_that_differ_in_the_port_alone_are_two_sides() -> None:
    first, second = walk(
        Loop(8),
        tcp(REQUEST, src=CLIENT, sport=50001, dst=CLIENT, dport=80),
        tcp(REQUEST, src=CLIENT, sport=80, dst=CLIENT, dport=50001),
    )
    assert (first.flow, first.side, second.side) == (second.flow, 1, 0)


def test_conversations_have_names_of_their_own() -> None:
    packets = [tcp(REQUEST, sport=port) for port in range(40000, 40400)]
    packets += [tcp(REQUEST, src=f"10.20.9.{n}") for n in range(1, 200)]
    assert len({row.flow for row in walk(Loop(), *packets)}) == len(packets)


def test_the_table_is_bounded_and_counts_what_it_drops() -> None:
    loop = Loop(16)
    packets = [tcp(NOISE, sport=port) for port in range(20000, 21000)]
    found = walk(loop, *packets)
    assert loop.flows.total == 1000
    kept = [row for row in found if loop.flows.bytes_of(row.flow) != (0, 0)]
    assert 0 < len(kept) <= 16
    assert loop.flows.evicted == 1000 - len(kept)


def test_a_hello_that_is_waited_for_outlives_a_flood() -> None:
    loop = Loop(8)
    flood = [tcp(flags="S", sport=port) for port in range(20000, 20100)]
    flood += [tcp(NOISE, sport=port) for port in range(30000, 30100)]
    found = walk(loop, tcp(LARGE[:900]), *flood, tcp(LARGE[900:], seq=1901))
    ours = [row for row in found if row.sport == 50000]
    assert [row.kind for row in ours] == [TLS, MORE]
    assert loop.flows.bytes_of(ours[0].flow) == (len(LARGE), 0)
    assert loop.flows.evicted > 100


def test_connections_without_data_are_dropped_first() -> None:
    loop = Loop(8)
    (row,) = walk(loop, tcp(REQUEST))
    walk(loop, *[tcp(flags="S", sport=port) for port in range(20000, 20100)])
    assert sum(loop.flows.bytes_of(row.flow)) == len(REQUEST)


def test_a_flow_that_nothing_is_expected_of_is_dropped_in_its_turn() -> None:
    loop = Loop(8)
    ours = [tcp(LARGE[:900]), tcp(LARGE[900:], seq=1901), tcp(REQUEST, seq=1001 + len(LARGE))]
    others = [tcp(REQUEST, sport=port) for port in range(20000, 20008)]
    found = walk(loop, *ours, *others)
    assert {row.sport for row in found if loop.flows.bytes_of(row.flow) == (0, 0)} == {50000}


def test_ports_used_again_count_as_without_data() -> None:
    loop = Loop(8)
    others = walk(loop, *[tcp(REQUEST, sport=port) for port in range(20000, 20007)])
    walk(loop, tcp(REQUEST), tcp(flags="S", seq=90000), tcp(REQUEST, sport=20007))
    assert loop.flows.evicted == 1
    assert all(sum(loop.flows.bytes_of(row.flow)) for row in others)


def test_ports_used_again_are_another_conversation() -> None:
    loop = Loop(64)
    packets = []
    for seq in (1000, 90000, 7):
        packets += [tcp(flags="S", seq=seq), tcp(REQUEST, seq=seq + 1)]
    found = walk(loop, *packets)
    assert len({row.flow for row in found}) == 3
    assert loop.flows.total == 3
    assert [sum(loop.flows.bytes_of(row.flow)) for row in found] == [0, 0, len(REQUEST)]


def test_a_repeated_syn_is_the_same_conversation() -> None:
    loop = Loop(64)
    syn = tcp(flags="S", seq=1000)
    (row,) = walk(loop, syn, syn, syn, tcp(REQUEST))
    assert loop.flows.total == 1
    assert loop.flows.bytes_of(row.flow) == (len(REQUEST), 0)


def test_bytes_count_for_the_side_that_sent_them() -> None:
    loop = Loop(64)
    back = {"src": SERVER, "sport": 443, "dst": CLIENT, "dport": 50000}
    row, *_ = walk(
        loop,
        tcp(flags="S", seq=1000),
        tcp(flags="SA", seq=500, **back),
        tcp(HELLO),
        tcp(NOISE * 7, seq=501, **back),
        tcp(NOISE, seq=1001 + len(HELLO)),
    )
    assert row.kind == TLS
    assert loop.flows.bytes_of(row.flow) == (len(HELLO) + 40, 280)


def test_datagrams_count_as_well() -> None:
    loop = Loop(64)
    hello, *_ = handshakes.quic_hello(1, "www.example.org", random.Random(3))
    reply = udp(b"\x40" + bytes(99), src=SERVER, sport=443, dst=CLIENT, dport=50000)
    (row,) = walk(loop, udp(hello, dport=443), reply, reply)
    assert loop.flows.bytes_of(row.flow) == (len(hello), 200)


def test_bytes_of_a_flow_that_was_dropped_are_zero() -> None:
    loop = Loop(8)
    (row,) = walk(loop, tcp(REQUEST))
    walk(loop, *[tcp(NOISE, sport=port) for port in range(20000, 20010)])
    assert loop.flows.bytes_of(row.flow) == (0, 0)
    assert loop.flows.bytes_of(0x7FFFFFFFFFFFFF00) == (0, 0)


@pytest.mark.parametrize("start", [2**32 - 1, 2**32 - 100, 2**32 - len(LARGE), 2**32 - 1400, 0])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("syn", [True, False])
def test_what_is_owed_runs_over_the_wrap(start: int, order: tuple[int, ...], syn: bool) -> None:
    cuts = (0, 600, 1200, len(LARGE))
    pieces = [tcp(LARGE[cuts[n] : cuts[n + 1]], seq=start + cuts[n]) for n in order]
    opening = [tcp(flags="S", seq=start - 1)] if syn else []
    assert sorted(kinds(Loop(64), *opening, *pieces)) == [TLS, MORE, MORE]


def test_behind_a_whole_hello_nothing_is_passed_on() -> None:
    data = [tcp(NOISE, seq=1001 + len(HELLO) + 40 * n) for n in range(50)]
    assert kinds(Loop(64), tcp(flags="S", seq=1000), tcp(HELLO), *data) == [TLS]


def test_behind_the_last_byte_owed_nothing_is_passed_on() -> None:
    data = [tcp(NOISE, seq=1001 + len(LARGE) + 40 * n) for n in range(50)]
    packets = [tcp(LARGE[:1400]), tcp(LARGE[1400:], seq=2401), *data]
    assert kinds(Loop(64), *packets) == [TLS, MORE]


def test_a_flow_met_in_the_middle_is_looked_at_for_a_while_only() -> None:
    data = [tcp(NOISE, seq=1001 + 40 * n) for n in range(100)]
    assert kinds(Loop(64), *data) == [MORE] * 16


def test_the_answering_side_is_not_waited_for() -> None:
    back = {"src": SERVER, "sport": 443, "dst": CLIENT, "dport": 50000}
    data = [tcp(NOISE, seq=501 + 40 * n, **back) for n in range(9)]
    assert kinds(Loop(64), tcp(flags="SA", seq=500, **back), *data) == []


def test_a_request_in_the_syn_is_seen() -> None:
    # TCP Fast Open (RFC 7413): the first data is in the SYN.
    (row,) = walk(Loop(64), tcp(REQUEST, seq=1000, flags="S", dport=80))
    assert (row.kind, row.seq) == (HTTP, 1001)


def test_the_resolver_answers_over_tcp_are_followed() -> None:
    reply = messages.answer(1, "www.example.org", "A", [])
    back = {"src": SERVER, "sport": 53, "dst": CLIENT, "dport": 50000}
    framed = len(reply).to_bytes(2, "big") + reply
    packets = [
        tcp(flags="SA", seq=500, **back),
        tcp(framed[:2], seq=501, **back),
        tcp(framed[2:], seq=503, **back),
    ]
    assert kinds(Loop(64), *packets) == [DNS_TCP, MORE]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2**40), st.booleans()), max_size=80))
def test_any_order_of_times_leaves_the_table_whole(steps: list[tuple[int, int, bool]]) -> None:
    loop = Loop(8)
    frames: Frames = [
        (START - time, tcp(b"" if syn else NOISE, flags="S" if syn else "PA", sport=40000 + port))
        for port, time, syn in steps
    ]
    flows = {row.flow for row in rows(loop, frames, RAW)}
    assert 0 <= loop.flows.total - loop.flows.evicted <= len(steps)
    assert sum(sum(loop.flows.bytes_of(flow)) > 0 for flow in flows) <= 8
