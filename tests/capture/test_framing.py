import random
import struct
import sys
from array import array
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.interpreted import all_interpreted
from support.made_captures import (
    PACKETS,
    block,
    dropcount,
    enhanced,
    interface,
    obsolete,
    pcap,
    pcapng,
    section,
    simple,
)

from netwatch.capture import framing, framing_pcapng
from netwatch.capture.block import FIELDS

CLOCK = (262144, 50, 6, 0, 0)


def load_interpreted():
    """The same files as ordinary modules, whether or not they are compiled too."""
    names = [f"netwatch.capture.{name}" for name in ("framing", "framing_pcapng")]
    return all_together(*map(all_interpreted(*names).get, names))


def all_together(plain, blocks):
    """The walkers of both modules."""
    return SimpleNamespace(**{**vars(blocks), **vars(plain)})


interpreted = load_interpreted()
compiled = all_together(framing, framing_pcapng)
WALKERS = [compiled, interpreted]


def records(rows=64):
    return array("q", bytes(8 * FIELDS * rows))


def test_interpreted_is_interpreted():
    assert not interpreted.COMPILED


@pytest.mark.parametrize("walkers", WALKERS)
def test_pcap_fields(walkers):
    data = pcap()
    found = records()
    count, at, status, value = walkers.walk_pcap(data, 24, len(data), found, 0, 0, 16, 262144)
    assert (count, at, status, value) == (len(PACKETS), len(data), framing.NEEDS_MORE, 16)
    size = len(PACKETS[0])
    assert list(found[:FIELDS]) == [1_700_000_000_000_001_000, 40, size, size + 5, 0, -1]


@pytest.mark.parametrize("walkers", WALKERS)
def test_stops_where_the_array_is_full_and_goes_on(walkers):
    data = pcap()
    found = records(4)
    counts, at, status = [], 24, framing.ARRAY_FULL
    while status == framing.ARRAY_FULL:
        count, at, status, _ = walkers.walk_pcap(data, at, len(data), found, 0, 0, 16, 262144)
        counts.append(count)
    assert counts == [4, 4, 1]


@pytest.mark.parametrize("walkers", WALKERS)
@pytest.mark.parametrize("room", [15, 16, 17, 16 + len(PACKETS[1]) - 1])
def test_incomplete_says_how_many_bytes(walkers, room):
    data = pcap()
    start = 24 + 16 + len(PACKETS[0])
    count, at, status, value = walkers.walk_pcap(
        data, start, start + room, records(), 0, 0, 16, 262144
    )
    assert (count, at, status) == (0, start, framing.NEEDS_MORE)
    assert value == (16 if room < 16 else 16 + len(PACKETS[1]))


@pytest.mark.parametrize("walkers", WALKERS)
@pytest.mark.parametrize(("limit", "status"), [(39, framing.BAD_LENGTH), (40, framing.NEEDS_MORE)])
def test_limit_is_the_largest_that_passes(walkers, limit, status):
    data = pcap([bytes(40)])
    found = walkers.walk_pcap(data, 24, len(data), records(), 0, 0, 16, limit)
    assert found[2] == status
    assert found[0] == (status == framing.NEEDS_MORE)


@pytest.mark.parametrize("walkers", WALKERS)
@pytest.mark.parametrize(
    ("ticks", "unit", "offset", "time"),
    [
        (1_700_000_000_123_456, 6, 0, 1_700_000_000_123_456_000),
        (1_700_000_000, 0, 0, 1_700_000_000_000_000_000),
        (1_700_000_000_123_456_789, 9, 0, 1_700_000_000_123_456_789),
        (17_000_000_001_234_567_890, 10, 0, 1_700_000_000_123_456_789),
        ((1 << 64) - 1, 28, 0, 1),
        ((1 << 64) - 1, 29, 0, 0),
        ((1 << 64) - 1, 127, 0, 0),
        (3 << 9, -11, 0, 1_500_000_000),
        ((1_700_000_000 << 32) + (1 << 31), -33, 0, 1_700_000_000_500_000_000),
        (1_700_000_000, -1, 0, 1_700_000_000_000_000_000),
        ((1 << 64) - 1, -65, 0, 999_999_999),
        ((1 << 64) - 1, -128, 0, 0),
        (5, 0, 7_000_000_000, 12_000_000_000),
        (5, 0, -5_000_000_000, 0),
        (5, 0, -5_000_000_001, None),
        ((1 << 63) - 1, 9, 0, (1 << 63) - 1),
        (1 << 63, 9, 0, None),
        ((1 << 63) - 1, 9, 1, None),
        (9_223_372_037, 0, 0, None),
        (9_223_372_037, -1, 0, None),
        (5, framing_pcapng.NO_CLOCK, 0, None),
    ],
)
def test_time_stamps(walkers, ticks, unit, offset, time):
    data = enhanced(b"x", ticks)
    clocks = array("q", (262144, 262144, unit, offset, 0))
    found = records()
    count, _, _, _, timeless = walkers.walk_pcapng(data, 0, len(data), found, 0, clocks, 1 << 20)
    assert count == 1
    assert timeless == (time is None)
    assert found[0] == (time or 0)


@given(ticks=st.integers(0, (1 << 64) - 1), power=st.integers(0, 127))
def test_binary_units_are_exact_to_the_nanosecond(ticks, power):
    found = records()
    data = enhanced(b"x", ticks)
    compiled.walk_pcapng(data, 0, len(data), found, 0, array("q", (99, 99, -1 - power, 0, 0)), 999)
    exact = (ticks * 10**9) >> power
    assert found[0] in ((exact, max(0, exact - 1)) if exact < 1 << 63 else (0,))


def both(name, data, *rest):
    """What both walkers make of the same bytes; they must not differ."""
    mine, theirs = records(), records()
    copies = [each[:] if isinstance(each, array) else each for each in rest]
    first = getattr(compiled, name)(data, 0, len(data), mine, *rest)
    second = getattr(interpreted, name)(data, 0, len(data), theirs, *copies)
    assert first == second
    assert copies == list(rest)
    assert mine == theirs
    return first, mine


@given(data=st.binary(max_size=400), big=st.booleans(), nano=st.booleans())
def test_compiled_and_interpreted_agree_on_pcap(data, big, nano):
    (count, at, _, _), _ = both("walk_pcap", data, big, nano, 16, 100)
    assert 16 * count <= at <= len(data)


PIECES = st.one_of(
    st.binary(max_size=24),
    st.builds(
        lambda kind, body, second: block(kind, body, second=second),
        st.sampled_from([0, 1, 2, 3, 4, 5, 6, 0x0A0D0D0A, 0xFFFFFFFF]),
        st.binary(max_size=60),
        st.sampled_from([None, None, None, 7]),
    ),
    st.builds(enhanced, st.binary(max_size=40), st.integers(0, (1 << 64) - 1)),
    st.builds(
        lambda data, options: enhanced(data, 1, options=options),
        st.binary(max_size=9),
        st.one_of(st.binary(max_size=40), st.integers(0, 1 << 63).map(dropcount)),
    ),
    st.builds(obsolete, st.binary(max_size=40), st.integers(0, (1 << 64) - 1)),
    st.builds(simple, st.binary(max_size=70), st.integers(0, 1000)),
)


@given(
    pieces=st.lists(PIECES, max_size=6),
    unit=st.integers(-128, 127),
    offset=st.integers(-(1 << 63) + 1, (1 << 63) - 1),
    interfaces=st.integers(0, 2),
)
def test_compiled_and_interpreted_agree_on_pcapng(pieces, unit, offset, interfaces):
    clocks = array("q", (80, 30, unit, offset, 0) * interfaces)
    data = b"".join(pieces)
    (count, at, _, _, timeless), _ = both("walk_pcapng", data, 0, clocks, 100)
    assert 0 <= timeless <= count
    assert at <= len(data)


def test_compiled_and_interpreted_agree_on_damaged_captures():
    chance = random.Random(3)
    whole = pcapng()[len(section()) + len(interface()) :]
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        both("walk_pcapng", bytes(data), 0, array("q", CLOCK), 1 << 20)


def test_never_looks_behind_the_end():
    data = bytearray(pcap())
    short = len(data) - 1
    first = framing.walk_pcap(data, 24, short, records(), 0, 0, 16, 262144)
    data[short:] = b"\xff"
    assert framing.walk_pcap(data, 24, short, records(), 0, 0, 16, 262144) == first
    with pytest.raises(IndexError):
        framing.walk_pcap(struct.pack("<IIII", 0, 0, 0, 0), 0, 40, records(), 0, 0, 16, 9)


# the ring

BIG = sys.byteorder == "big"


def ring_packet(
    data: bytes,
    *,
    following: int | None = None,
    status: int = 0,
    tci: int = 0,
    tpid: int = 0,
    mac: int = 82,
    captured: int | None = None,
    wire: int = 0,
    order: str = "=",
) -> bytes:
    """A packet as the kernel writes it behind a tpacket3_hdr, its frame at `mac`."""
    size = mac + len(data)
    size += -size % 16
    head = struct.pack(
        order + "6I2H2I2H8x",
        size if following is None else following,
        1_700_000_000,
        123_456_789,
        len(data) if captured is None else captured,
        wire or len(data),
        status,
        mac,
        mac + 14,
        0,
        tci,
        tpid,
        0,
    )
    return (head + bytes(mac - len(head)) + data).ljust(size, b"\0")


@pytest.mark.parametrize("walkers", WALKERS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("status", "tag"), [(1, -1), (1 | 16, 0x5005), (1 | 16 | 64, 0x88A8_5005), (64, -1)]
)
def test_ring_fields(walkers, order, status, tag):
    data = ring_packet(
        b"frame", status=status, tci=0x5005, tpid=0x88A8, wire=99, following=0, order=order
    )
    found = records()
    reported = walkers.walk_ring(bytes(48) + data, 48, 1, found, order == ">")
    assert reported == (1, 48, framing.NEEDS_MORE, 0)
    assert list(found[:FIELDS]) == [1_700_000_000_123_456_789, 48 + 82, 5, 99, 0, tag]


@pytest.mark.parametrize("walkers", WALKERS)
def test_ring_stops_where_the_array_is_full_and_goes_on(walkers):
    data = b"".join(ring_packet(bytes([n])) for n in range(9))
    at, left, status, found, seen = 0, 9, framing.ARRAY_FULL, records(4), []
    while status == framing.ARRAY_FULL:
        count, at, status, _ = walkers.walk_ring(data, at, left, found, BIG)
        left -= count
        seen += [data[found[n * FIELDS + 1]] for n in range(count)]
    assert (left, status, seen) == (0, framing.NEEDS_MORE, list(range(9)))


WHOLE = ring_packet(b"whole")


@pytest.mark.parametrize("walkers", WALKERS)
@pytest.mark.parametrize(
    "bad",
    [
        WHOLE[:47],
        ring_packet(b"x", captured=1000),
        ring_packet(b"x", mac=40 + 8)[:24] + b"\x2f\0" + WHOLE[26:],
        ring_packet(b"x", captured=0xFFFFFFFF),
    ],
    ids=["header-cut", "too-long", "frame-in-header", "largest"],
)
def test_a_ring_packet_that_does_not_lie_in_its_block(walkers, bad):
    found = records()
    reported = walkers.walk_ring(WHOLE + bad, 0, 2, found, BIG)
    assert reported[:3] == (1, len(WHOLE), framing.PACKET_TOO_LONG)


@pytest.mark.parametrize("walkers", WALKERS)
@pytest.mark.parametrize("following", [0, 0xFFFFFFF0, 1 << 20])
def test_a_chain_that_leads_nowhere(walkers, following):
    found = records()
    data = ring_packet(b"one", following=following) + WHOLE
    assert walkers.walk_ring(data, 0, 2, found, BIG)[::2] == (1, framing.PACKET_TOO_LONG)


@given(data=st.binary(max_size=300), start=st.integers(0, 320), packets=st.integers(0, 5))
def test_compiled_and_interpreted_agree_on_rings(data, start, packets):
    mine, theirs = records(3), records(3)
    first = framing.walk_ring(data, start, packets, mine, False)
    assert interpreted.walk_ring(data, start, packets, theirs, False) == first
    assert mine == theirs
    assert first[0] <= min(packets, 3)


@given(st.lists(st.builds(ring_packet, st.binary(max_size=30)), max_size=5), st.integers(0, 7))
def test_compiled_and_interpreted_agree_on_rings_of_packets(pieces, packets):
    data = b"".join(pieces)
    mine, theirs = records(), records()
    first = framing.walk_ring(data, 0, packets, mine, BIG)
    assert interpreted.walk_ring(data, 0, packets, theirs, BIG) == first
    assert mine == theirs
    assert first[0] == min(packets, len(pieces))


@pytest.mark.parametrize("walkers", WALKERS)
def test_latest_time_of_records_out_of_order(walkers):
    found = records(4)
    for number, time in enumerate((7, 9, 8, 10)):
        found[FIELDS * number] = time
    assert [walkers.latest_time(found, count) for count in (1, 2, 3, 4)] == [7, 9, 9, 10]
