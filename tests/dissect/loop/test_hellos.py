"""Hellos in pieces and those of QUIC: what the packet loop tells of them itself, and that all
else is as if it did not."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import handshakes
import pytest
from hypothesis import given
from support.captures import START, Frames, Row, block, dissector, observed, rows, timed
from support.examples import examples
from support.flow_oracle import flow_visibility
from support.frames import CLIENT, SERVER, tcp, udp
from support.interpreted import interpreted
from support.made_hellos import (
    IDLE,
    SECOND,
    V1,
    V2,
    WANTED,
    conversations,
    cut,
    datagrams,
    quic,
    record,
)
from support.observing import observe

from netwatch.capture.block import Interface
from netwatch.core.flow import NAME_STATUSES, FlowClient
from netwatch.core.message import Message
from netwatch.dissect.loop.layout import KIND_MORE as MORE
from netwatch.dissect.loop.layout import ROW_COLUMNS
from netwatch.dissect.loop.loop import Loop
from netwatch.protocols import QUIC, TLS

RAW = 101


def new_loop(**options: bool) -> Loop:
    return Loop(64, domains=[b"example.com"], **options)


def walk(by: Loop, *packets: bytes) -> list[Row]:
    return rows(by, timed(packets), RAW)


# what the loop tells


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1), (1, 3, 2)])
def test_an_idle_hello_in_segments_is_counted_and_gives_no_row(order: tuple[int, ...]) -> None:
    by = new_loop()
    syn, *segments = cut(record(IDLE), 600, 1200)
    assert walk(by, syn, *[segments[at - 1] for at in order]) == []
    assert by.prefilter.names() == {"tls-sni": 1}
    assert list(by.finish()) == []


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1), (1, 3, 2)])
def test_another_gives_all_its_rows_once_it_is_whole(order: tuple[int, ...]) -> None:
    by = new_loop()
    syn, *segments = cut(record(WANTED), 600, 1200)
    packets = [segments[at - 1] for at in order]
    assert walk(by, syn, *packets[:-1]) == []
    held = walk(by, packets[-1])
    assert by.prefilter.names() == {}
    assert [row.record >= 0 for row in held] == [False, False, True]
    for row, packet, at in zip(held, packets, order, strict=True):
        kept, own, source = by.buffered_packet(tuple(row)) if row.record < 0 else (row, None, 0)
        assert kept[0] == (TLS if at == 1 else MORE)
        if own is not None:
            assert own.data == packet
            assert own.data[kept[2] : kept[2] + kept[3]] == packet[40:]
            assert (own.count, source) == (1, 0)


@pytest.mark.parametrize("version", [V1, V2])
@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("cuts", [(), (100,), (200, 100), (1, 2, 3)])
def test_an_idle_hello_of_quic_is_counted_and_gives_no_row(
    version: int, fixed: bool, cuts: tuple[int, ...]
) -> None:
    hello = quic(IDLE, version=version)
    for step in (1, -1):
        by = new_loop()
        parts = list(pairwise([0, *sorted(cuts), len(hello)]))[::step]
        sent = datagrams(hello, parts, version=version, fixed=fixed)
        assert walk(by, *[udp(each, dport=443) for each in sent]) == []
        assert by.prefilter.names() == {"quic-sni": 1}
        assert list(by.finish()) == []


@pytest.mark.parametrize("parse_all", [True, False])
@pytest.mark.parametrize("version", [V1, V2, handshakes.QUIC_DRAFT_29])
def test_the_fixed_bit_may_be_cleared(version: int, parse_all: bool) -> None:
    """RFC 9287: in each of the packets or in some."""
    hello = quic(WANTED, version=version)
    for parts in ([(0, len(hello))], [(0, 100), (100, len(hello))]):
        sent = datagrams(hello, parts, version=version, fixed=False)
        assert sent[0][0] & 0xC0 == 0x80
        frames = timed([udp(each, dport=443) for each in sent])
        (found,) = observed(frames, RAW, by=dissector(parse_all=parse_all))
        assert (found.evidence, found.name) == ("quic-sni", WANTED)


@pytest.mark.parametrize("version", [V1, V2])
def test_another_of_quic_gives_its_rows(version: int) -> None:
    hello = quic(WANTED, version=version)
    by = new_loop()
    first, second = datagrams(hello, [(0, 100), (100, len(hello))], version=version)
    assert walk(by, udp(first, dport=443)) == []
    held = walk(by, udp(second, dport=443))
    assert [row.kind for row in held] == [QUIC, QUIC]
    assert [row.record >= 0 for row in held] == [False, True]
    assert by.prefilter.names() == {}


def test_what_follows_a_hello_that_was_told_gives_no_row() -> None:
    by = new_loop()
    hello = quic(IDLE)
    (sent,) = datagrams(hello, [(0, len(hello))])
    answer = handshakes.quic_initial(V1, b"", b"\2" * 8, 0, b"\2\0\0\0\0", key_id=b"\7" * 8)
    back = udp(answer, src=SERVER, sport=443, dst=CLIENT, dport=50000)
    out = udp(sent, dport=443)
    assert walk(by, out, back, out, back) == []
    assert by.prefilter.names() == {"quic-sni": 1}
    # After a silence the same ports may be another connection.
    later = timed([out], START + 60 * SECOND)
    assert rows(by, later, RAW) == []
    assert by.prefilter.names() == {"quic-sni": 2}
    assert len(rows(by, timed([back], START + 120 * SECOND), RAW)) == 1


STRANGE = {
    "a bit of the frames": lambda data: data[:700] + bytes([data[700] ^ 1]) + data[701:],
    "a bit of the tag": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "a bit of the header": lambda data: data[:16] + bytes([data[16] ^ 1]) + data[17:],
    "another connection id": lambda data: data[:6] + b"\x08" + data[7:],
    "a reserved version": lambda data: data[:1] + b"\x1a\x2a\x3a\x4a" + data[5:],
    "a packet behind it": lambda data: data + data[:40],
    "cut short": lambda data: data[:-1],
}


@pytest.mark.parametrize("change", STRANGE.values(), ids=STRANGE.keys())
def test_what_is_not_as_usual_gives_a_row_and_all_that_follows(change: object) -> None:
    hello = quic(IDLE)
    (sent,) = datagrams(hello, [(0, len(hello))])
    by = new_loop()
    packets = [udp(each, dport=443) for each in (change(sent), sent)]
    assert len(walk(by, *packets)) == 2
    assert by.prefilter.names() == {}


def test_a_cut_packet_gives_a_row() -> None:
    hello = quic(IDLE)
    (sent,) = datagrams(hello, [(0, len(hello))])
    by = new_loop()
    frames = block(timed([udp(sent, dport=443)]), RAW, snap=1000)
    assert [len(part) for part in by.walk(frames)] == [ROW_COLUMNS]


@pytest.mark.parametrize("frames", [b"\2\0\0\0\0", b"\x1c\0\0\0", b"\6\0\1", b"\0" * 20, b"\6\0\0"])
def test_frames_that_are_not_as_usual_give_a_row(frames: bytes) -> None:
    by = new_loop()
    sent = handshakes.quic_initial(V1, b"\7" * 8, b"", 0, frames, size=60 if len(frames) > 9 else 0)
    assert len(walk(by, udp(sent, dport=443))) == 1


def test_a_hello_that_is_never_whole_gives_its_rows_after_a_while_or_at_the_end() -> None:
    hello = quic(IDLE)
    first, _ = datagrams(hello, [(0, 100), (100, len(hello))])
    for later in (1, 3):
        by = new_loop()
        syn, segment, _ = cut(record(IDLE), 600)
        assert walk(by, syn, segment, udp(first, dport=443)) == []
        found = rows(by, timed([udp(b"x")], START + later * SECOND), RAW)
        assert [row.kind for row in found if row.record < 0] == ([TLS, QUIC] if later == 3 else [])
        left = [kind for part in by.finish() for kind in part[::ROW_COLUMNS]]
        assert left == ([] if later == 3 else [TLS, QUIC])
        # A block without packets says so too.
    by = new_loop()
    assert walk(by, syn, segment) == []
    assert [part[0] for part in by.walk(block([], RAW))] == [TLS]


def test_interfaces_that_take_turns_keep_nothing_from_waiting() -> None:
    by = new_loop()
    syn, segment, _ = cut(record(IDLE), 600)
    assert walk(by, syn, segment) == []
    other = block(timed([udp(b"x", dport=9)]), RAW)
    for turn in range(200):
        named = replace(other, interfaces=(Interface(RAW, 9, f"eth{turn % 2}"),))
        assert list(by.walk(named)) == []
    # So many that their packets could not be told apart for ever are not waited for.
    kinds = []
    for turn in range(200):
        named = replace(other, interfaces=(Interface(RAW, 9, f"section {turn}"),))
        kinds += [kind for part in by.walk(named) for kind in part[::ROW_COLUMNS]]
    assert kinds == [TLS]


def test_only_so_many_wait() -> None:
    by = new_loop()
    data = record(IDLE)
    begun = [packet for n in range(200) for packet in cut(data, 600, sport=2000 + n)[:2]]
    passed = walk(by, *begun)
    assert [row.kind for row in passed] == [TLS] * (200 - 128)
    assert len([kind for part in by.finish() for kind in part[::ROW_COLUMNS]]) == 128
    # All can be had again.
    assert walk(by, *begun[:100]) == []


def test_nothing_waits_amid_another_block() -> None:
    by = new_loop()
    by.hellos.buffering = False
    syn, *segments = cut(record(IDLE), 600)
    assert [row.kind for row in walk(by, syn, *segments)] == [TLS, MORE]
    hello = quic(IDLE)
    (sent,) = datagrams(hello, [(0, len(hello))])
    assert walk(by, udp(sent, dport=443)) == []


def test_ports_used_again_begin_anew() -> None:
    by = new_loop()
    syn, first, _ = cut(record(WANTED), 600)
    assert walk(by, syn, first) == []
    again = [tcp(flags="S", seq=9000), tcp(record(IDLE)[:600], seq=9001)]
    assert [row.record < 0 for row in walk(by, *again)] == [True]
    assert walk(by, tcp(record(IDLE)[600:], seq=9601)) == []
    assert by.prefilter.names() == {"tls-sni": 1}


def test_without_domains_all_give_rows() -> None:
    by = Loop(64)
    hello = quic(IDLE)
    (sent,) = datagrams(hello, [(0, len(hello))])
    assert len(walk(by, udp(sent, dport=443), *cut(record(IDLE), 600))) == 3


# and that it is as if it did not


def name_status(message: Message) -> int:
    return NAME_STATUSES.index("named" if message.names else "no-sni")


def wanted(message: Message) -> bool:
    return any(shown.name.endswith("example.com") for shown in message.names)


def told(
    frames: Frames, parts: Sequence[int], link: int, *, zones: bool
) -> tuple[Counter[Any], ...]:
    """All that comes of a capture that is read in blocks of so many packets."""
    named: Counter[Any] = Counter()

    def counted(client: FlowClient, visibility: str, flows: int, times: Sequence[int]) -> None:
        assert visibility == "named" or not times
        named.update((client, time) for time in times)

    by = dissector(
        wanted,
        name_status=name_status,
        keeps_frames_for=lambda address: True,
        domains=[b"example.com"] if zones else None,
        flows_counted=counted,
    )
    found = []
    first = 0
    for size in (*parts, len(frames)):
        some = frames[first : first + size]
        if some:
            found += by.messages(block(some, link, first=first + 1), "test")
        first += size
    found += by.flush()
    names = Counter(
        (each.packet, each.time, each.name, each.evidence, each.flow_id, frozenset(each.frames))
        for pair in found
        for each in observe(*pair)
    )
    flows = Counter(
        (flow.first, flow.last, flow.packet, flow.bytes_out, flow.bytes_in, flow_visibility(flow))
        for flow in (*by.flows(), *by.end_flows())
    )
    return names, by.names_by_evidence(), flows, named, by.anomalies()


@examples(300)
@given(conversations())
def test_the_same_is_told_whether_hellos_wait_in_the_loop_or_not(
    case: tuple[int, Frames, list[int]],
) -> None:
    link, frames, parts = case
    assert told(frames, parts, link, zones=True) == told(frames, parts, link, zones=False)


@given(conversations(fragments=True))
def test_the_same_is_told_of_fragments(case: tuple[int, Frames, list[int]]) -> None:
    link, frames, parts = case
    # What is odd differs.
    (names, shown, *_), (expected, known, *_) = (
        told(frames, parts, link, zones=zones) for zones in (True, False)
    )
    assert sorted(names) == sorted(expected)
    assert shown == known


@examples(40)
@given(conversations())
def test_both_forms_give_the_same_rows(case: tuple[int, Frames, list[int]]) -> None:
    link, frames, parts = case
    found = []
    for module in (Loop, interpreted().Loop):
        by = module(64, seed=7, domains=[b"example.com"], recording=True)
        seen: list[object] = []
        first = 0
        for size in (*parts, len(frames)):
            some = frames[first : first + size]
            for part in by.walk(block(some, link, first=first + 1)) if some else ():
                each = [
                    tuple(part[at : at + ROW_COLUMNS]) for at in range(0, len(part), ROW_COLUMNS)
                ]
                seen += [by.buffered_packet(row) if row[1] < 0 else row for row in each]
                seen += by.flows.take_closed()
            first += size
        for part in by.finish():
            each = [tuple(part[at : at + ROW_COLUMNS]) for at in range(0, len(part), ROW_COLUMNS)]
            seen += [by.buffered_packet(row) for row in each]
        found.append(
            (
                seen,
                by.prefilter.names(),
                by.anomalies(),
                by.flows.close_flows(),
                by.flows.take_closed(),
            )
        )
    assert found[0] == found[1]
