"""Compiled and interpreted, the packet loop gives the same rows from the same packets."""

import random
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import layers
from support.captures import block, timed
from support.examples import examples, only_long
from support.frames import LINKS, Link
from support.interpreted import SOURCES, interpreted
from support.paths import PCAPS
from support.situations.ech import SITUATIONS
from support.situations.situation import Situation
from support.traffic import mixed
from support.wrappings import CARRIER_FORMS, CARRIERS, TAGS, WRAPPINGS, Carrier, Wrapped

from netwatch.capture.block import Block
from netwatch.capture.files import open_source
from netwatch.dissect.loop import loop as compiled
from netwatch.dissect.loop.layout import KIND_ANSWER, KIND_OPENING, ROW_COLUMNS, ROW_FLOW

SAMPLES = sorted(PCAPS.glob("*.pcap"))
FRAMES = {link.name: [frame for _, frame in mixed(link=link).frames] for link in LINKS}
NUMBERS = {link.name: link.number for link in LINKS}


def wrapped(carrier: Carrier, first: int, one_in: int = 16) -> list[bytes]:
    """Packets of every kind, each in another wrapping, some in fragments, on one link: one wrapping
    in so many, beginning with that of the number `first`."""
    packets = [frame[14:] for frame in FRAMES["ethernet"][::7]]
    frames = []
    for number in range(first % one_in, 2 * len(WRAPPINGS), one_in):
        wrapping = (*WRAPPINGS, *WRAPPINGS[::-1])[number]
        packet = packets[number % len(packets)]
        cuts = {number % 2: (9, 20)} if number % 5 == 0 else {}
        frames += Wrapped(carrier, (wrapping,)).frames(packet, cuts=cuts, ident=number)
    return frames


WRAPPED = {f"wrapped on {each.name}": wrapped(each, number) for number, each in enumerate(CARRIERS)}
FRAMES |= WRAPPED
NUMBERS |= {f"wrapped on {each.name}": each.number for each in CARRIERS}

pytestmark = pytest.mark.skipif(not compiled.COMPILED, reason="the loop was not compiled")


@pytest.fixture(scope="module")
def source() -> ModuleType:
    return interpreted()


def walked(
    module: ModuleType,
    blocks: Iterable[Block],
    slots: int,
    seed: int,
    learning: int,
    zones: list[bytes] | None,
) -> tuple[list[list[list[int]]], *tuple[object, ...]]:
    """All that a walk gives and leaves behind."""
    loop = module.Loop(
        slots, seed=seed, domains=zones, recording=True, openings=True, learning=learning
    )
    rows, over = [], []
    for walk in (*map(loop.walk, blocks), loop.finish()):
        rows.append([])
        for part in walk:
            rows[-1].append(part)
            each = [tuple(part[at : at + ROW_COLUMNS]) for at in range(0, len(part), ROW_COLUMNS)]
            over.append([loop.buffered_packet(row) for row in each if row[1] < 0])
            over.append(list(loop.flows.take_closed()))
    flows = {row for some in rows for part in some for row in part[ROW_FLOW::ROW_COLUMNS]}
    return (
        rows,
        loop.anomalies(),
        loop.prefilter.names(),
        (loop.packets, loop.octets, loop.candidates.total),
        (loop.flows.total, loop.flows.evicted),
        {flow: loop.flows.bytes_of(flow) for flow in flows},
        (loop.flows.close_flows(), over, loop.flows.take_closed()),
    )


def same(source: ModuleType, blocks: list[Block], slots: int = 256, seed: int = 5) -> int:
    """Compare, with and without what devices are learned from, and with names that are of no
    interest; how many rows there were."""
    for learning, zones in ((7, [b"example.net", b"q1.example.org"]), (0, None), (7, None)):
        fast = walked(compiled, blocks, slots, seed, learning, zones)
        assert walked(source, blocks, slots, seed, learning, zones) == fast
    return sum(len(part) for some in fast[0] for part in some)


def test_the_source_is_interpreted_and_stands_alone(source: ModuleType) -> None:
    assert not source.COMPILED
    assert source.Loop is not compiled.Loop
    for part in ("cursor", "prefilter", "flows", "candidates", "hellos", "tcp", "udp"):
        ours, theirs = (getattr(module.Loop(8), part) for module in (source, compiled))
        assert type(ours) is not type(theirs)
    assert {"loop", "headers", "protocol_masks", "tcp_state"} <= {
        name.split(".")[-1] for name in SOURCES
    }


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.id)
def test_hellos_that_hide_their_name(source: ModuleType, situation: Situation) -> None:
    assert same(source, [block(situation.frames())]) > 0


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link.name)
def test_on_every_link_type(source: ModuleType, link: Link) -> None:
    assert same(source, [block(timed(FRAMES[link.name]), link.number)]) > 0


@pytest.mark.parametrize("name", WRAPPED)
def test_in_every_wrapping_on_every_link(source: ModuleType, name: str) -> None:
    assert same(source, [block(timed(FRAMES[name]), NUMBERS[name])]) > 0


@pytest.mark.long
@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda each: each.name)
def test_in_all_wrappings_on_all_links(source: ModuleType, carrier: Carrier) -> None:
    assert same(source, [block(timed(wrapped(carrier, 0, 1)), carrier.number)]) > 0


@pytest.mark.parametrize("snap", [40, 60, 80, 100, 120, 140])
def test_where_wrappings_are_cut(source: ModuleType, snap: int) -> None:
    for name in list(WRAPPED)[::6]:
        same(source, [block(timed(FRAMES[name]), NUMBERS[name], snap=snap)])


@pytest.mark.parametrize("carrier", CARRIER_FORMS, ids=lambda each: each.name)
@pytest.mark.parametrize("snap", [1 << 18, only_long(30), 70])
def test_in_further_forms_of_links(source: ModuleType, carrier: Carrier, snap: int) -> None:
    packets = [frame[14:] for frame in FRAMES["ethernet"][::43]]
    frames = [frame for packet in packets for frame in Wrapped(carrier, ()).frames(packet)]
    assert same(source, [block(timed(frames), carrier.number, snap=snap)]) > 0 or snap < 100


@pytest.mark.parametrize("snap", [1 << 18, 24, 33, 60])
def test_in_tags_in_tags(source: ModuleType, snap: int) -> None:
    packet = FRAMES["ethernet"][0][14:]
    frames = [
        layers.on_ethernet(outer(inner((layers.kind_of(packet), packet))))
        for outer, _ in TAGS.values()
        for inner, _ in TAGS.values()
    ]
    frames += [
        layers.on_ethernet(tag((number, bytes(40))))
        for number in range(0x7700, 0x7740)
        for tag, _ in list(TAGS.values())[::5]
    ]
    assert same(source, [block(timed(frames), snap=snap)]) > 0 or snap < 100


def test_in_aggregates(source: ModuleType) -> None:
    packets = [frame[14:] for frame in FRAMES["ethernet"]]
    frames = [layers.wlan(layers.amsdu(*packets[at : at + 5]), qos=0x80) for at in range(0, 99, 5)]
    assert same(source, [block(timed(frames), 105)]) > 0


def test_what_is_idle_is_idle_to_both(source: ModuleType) -> None:
    frames = timed(FRAMES["ethernet"])
    told = []
    for module in (compiled, source):
        loop = module.Loop(64, seed=7, domains=[b"tiktok.com"])
        walked = list(loop.walk(block(frames)))
        kept = [loop.addresses.answered(bytes(4), bytes(4), 0), loop.addresses.evicted]
        told.append((walked, loop.prefilter.names(), kept))
    assert told[0] == told[1]


@pytest.mark.parametrize("name", ["ethernet", *list(WRAPPED)[::9]])
def test_first_packets_come_beside_all_other_rows(name: str) -> None:
    frames = block(timed(FRAMES[name]), NUMBERS[name])
    plain, opening = (compiled.Loop(4096, seed=3, openings=asked) for asked in (False, True))
    rows = [
        [
            tuple(part[at : at + ROW_COLUMNS])
            for part in loop.walk(frames)
            for at in range(0, len(part), ROW_COLUMNS)
        ]
        for loop in (plain, opening)
    ]
    firsts = [row for row in rows[1] if row[0] == KIND_OPENING]
    assert len(firsts) == opening.flows.total > 0
    assert [row for row in rows[1] if row[0] not in (KIND_OPENING, KIND_ANSWER)] == rows[0]
    assert opening.candidates.total == plain.candidates.total == len(rows[0])


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_on_the_sample_captures(source: ModuleType, path: Path) -> None:
    assert same(source, list(open_source(str(path)).blocks())[:1], 4096) > 0


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1, 2**40 + 3])
def test_whatever_the_seed_and_however_small_the_table(source: ModuleType, seed: int) -> None:
    order = random.Random(seed)
    frames = order.sample(FRAMES["ethernet"], 200)
    assert same(source, [block(timed(frames))], slots=8, seed=seed) > 0


def test_the_rows_are_handed_over_in_parts(source: ModuleType) -> None:
    query = FRAMES["ethernet"][0]
    many = block(timed([query] * 5000))
    assert [len(rows) for rows in compiled.Loop(16).walk(many)] == [
        4096 * ROW_COLUMNS,
        904 * ROW_COLUMNS,
    ]
    assert same(source, [many]) > 0


@st.composite
def mutated(draw: st.DrawFn) -> tuple[int, list[bytes]]:
    """Packets of one link type with bytes changed, cut off, doubled or put in."""
    name = draw(st.sampled_from(sorted(FRAMES)))
    frames = []
    for frame in draw(st.lists(st.sampled_from(FRAMES[name]), min_size=1, max_size=12)):
        data = bytearray(frame)
        for _ in range(draw(st.integers(0, 4))):
            # The headers decide most, so half of the changes go there.
            at = draw(st.integers(0, draw(st.sampled_from((80, len(data))))))
            match draw(st.sampled_from("sdic")):
                case "s":
                    data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
                case "d":
                    del data[at : at + draw(st.integers(1, 9))]
                case "i":
                    data[at:at] = draw(st.binary(min_size=1, max_size=9))
                case "c":
                    del data[at:]
        frames.append(bytes(data))
    return NUMBERS[name], frames


@examples(400)
@given(mutated(), st.sampled_from([1 << 18, 20, 40, 60, 96, 200]))
def test_on_packets_that_went_bad(
    source: ModuleType, packets: tuple[int, list[bytes]], snap: int
) -> None:
    link, frames = packets
    same(source, [block(timed(frames), link, snap=snap)], slots=8)


@given(st.sampled_from([*NUMBERS.values(), 999]), st.lists(st.binary(max_size=120), max_size=8))
def test_on_any_bytes(source: ModuleType, link: int, frames: list[bytes]) -> None:
    same(source, [block(timed(frames), link)], slots=8)
