"""Packets are divided among workers so that each is counted once, and read by whom it concerns."""

import ipaddress
from array import array
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import divided
from support.captures import block, timed
from support.frames import ETHERNET, ip, tcp, udp
from support.wrappings import CARRIERS, WRAPPINGS, Wrapped

from netwatch.capture.block import Block
from netwatch.capture.files import open_source
from netwatch.dissect.loop import layout
from netwatch.dissect.loop.division import MAX_WORKERS, Division, inside_table
from netwatch.dissect.loop.loop import Loop, outermost_layers

PRIVATE = inside_table([ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fc00::/7")])
ONE, OTHER, FAR = "10.20.1.7", "10.20.1.8", "203.0.113.10"
EVERYONE = (layout.EVERYONE, layout.EVERYONE)


def owners(packets: list[bytes], workers: int = 4, *, link: int = 1, **options: bool) -> list:
    """The two owners of each packet, as the process that reads a capture decides them."""
    return divide(block(timed(packets), link), Division(workers, PRIVATE, salt=5, **options))


def divide(each: Block, division: Division) -> list[tuple[int, ...]]:
    records, pairs = array("q", bytes(48 * each.count)), bytearray(2 * each.count)
    octets = division.divide(
        each.data, each.records, each.count, outermost_layers(each.interfaces), records, pairs
    )
    assert records == array("q", each.records[: 6 * each.count])
    assert octets == sum(records[3::6])
    return list(zip(pairs[::2], pairs[1::2], strict=True))


def frames(*packets: bytes) -> list[bytes]:
    return [ETHERNET.frame(packet) for packet in packets]


def test_a_client_inside_owns_both_directions_of_its_flows() -> None:
    there, back = tcp(b"x", src=ONE, dst=FAR), tcp(b"y", src=FAR, dst=ONE, sport=443, dport=49152)
    first, second = owners(frames(there, back))
    assert first == second
    assert first[0] == first[1] < 4


def test_where_both_ends_are_inside_both_owners_read_the_flow() -> None:
    found = {owners(frames(tcp(b"x", src=ONE, dst=f"10.20.2.{n}")))[0] for n in range(1, 60)}
    mine = owners(frames(tcp(b"x", src=ONE, dst=FAR)))[0][0]
    # ONE is the lower end of each of them.
    assert {lower for lower, _ in found} == {mine}
    assert {greater for _, greater in found} == {0, 1, 2, 3}
    back = owners(frames(tcp(b"x", src="10.20.2.9", dst=ONE)))[0]
    assert back == owners(frames(tcp(b"x", src=ONE, dst="10.20.2.9")))[0]


def test_a_dns_message_belongs_to_its_client_alone() -> None:
    query, answer = bytes(12), b"\0\0\x80" + bytes(9)
    for src, dst, message in ((ONE, OTHER, query), (OTHER, ONE, answer)):
        (pair,) = owners(frames(udp(message, src=src, dst=dst, sport=53, dport=53)))
        assert pair == owners(frames(tcp(b"x", src=ONE, dst=FAR)))[0]


@pytest.mark.parametrize("six", [False, True])
def test_by_flow_each_packet_has_one_owner(six: bool) -> None:
    ends = ("2001:db8:20::7", "2001:db8:ffff::1") if six else (ONE, OTHER)
    found = set()
    for port in range(2000, 2100):
        there = tcp(b"x", src=ends[0], dst=ends[1], sport=port, dport=443)
        back = tcp(b"x", src=ends[1], dst=ends[0], sport=443, dport=port)
        first, second = owners(frames(there, back), by_flow=True)
        assert first == second
        assert first[0] == first[1]
        found.add(first[0])
    assert found == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "packet",
    [
        udp(b"x" * 30, dport=68, sport=67),
        udp(b"\0\0\x84" + bytes(9), sport=5353, dport=5353),
        udp(b"x" * 60, dport=4789),
        tcp(b"x")[:30],
        udp(b"")[:28],
        ip() / b"",
        tcp(b"x" * 60)[:6] + b"\x20\0" + tcp(b"x" * 60)[8:],
    ],
    ids=["dhcp", "mdns", "vxlan", "cut", "empty", "no protocol", "fragment"],
)
def test_what_is_not_ordinary_goes_to_everyone(packet: bytes) -> None:
    assert owners(frames(bytes(packet))) == [EVERYONE]


@given(st.binary(max_size=120), st.integers(0, 40))
def test_any_bytes_are_divided(data: bytes, cut: int) -> None:
    packet = ETHERNET.frame(tcp(data))
    for each in (data, packet[: len(packet) - cut], packet[:cut] + data):
        (pair,) = owners([each]) if each else [EVERYONE]
        assert pair == EVERYONE or max(pair) < 4


def test_ranges_are_inside_and_others_are_not() -> None:
    ranges = ["192.0.2.0/24", "10.0.0.0/8", "fc00::/7", "2001:db8:20::/48", "2001:a00::/24", "::1"]
    table = inside_table([ipaddress.ip_network(each) for each in ranges])
    division = Division(64, table, salt=9)
    outside = tuple(
        ipaddress.ip_address(each).packed for each in ("203.0.113.10", "2a00:1450:4001::8")
    )
    for text, inside in (
        ("192.0.2.9", True),
        ("10.255.0.1", True),
        ("11.0.0.1", False),
        ("fdff::1", True),
        ("fe80::1", False),
        ("2001:db8:20:1::7", True),
        ("2001:db8:21:1::7", False),
        ("2001:bff::1", False),
        ("2001:a7f::1", True),
        ("::1", True),
    ):
        packed = ipaddress.ip_address(text).packed
        other = outside[len(packed) == 16]
        # An end that is inside owns the flow whether it is the client or not.
        owner = next(n for n in range(64) if division.is_client(n, packed, packed))
        assert division.is_client(owner, other, packed) == inside or owner == next(
            n for n in range(64) if division.is_client(n, other, other)
        ), text


def test_the_number_of_workers_is_limited() -> None:
    with pytest.raises(ValueError, match="between 1 and"):
        Division(MAX_WORKERS + 1, PRIVATE)
    assert max(max(pair) for pair in owners(frames(tcp()), MAX_WORKERS)) < MAX_WORKERS


def walked(
    each: Block, worker: int, division: Division, *, given: bool
) -> tuple[list[tuple[int, ...]], Counter[str]]:
    """The rows of a worker, and what it counts, with or without owners that were decided."""
    loop = Loop(seed=3, learning=7, openings=True, division=division, worker=worker)
    pairs = b"".join(bytes(pair) for pair in divide(each, division)) if given else b""
    divided_ = Block(
        each.data, each.records, each.count, each.interfaces, each.first, each.position, pairs
    )
    found = []
    for part in [*loop.walk(divided_), *loop.finish()]:
        found += [
            tuple(part[at : at + layout.ROW_COLUMNS])
            for at in range(0, len(part), layout.ROW_COLUMNS)
        ]
    counts = Counter(loop.anomalies()) + Counter(loop.prefilter.names())
    counts["candidates"] = loop.candidates.total
    return found, counts


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> list[Block]:
    made = []
    for path in divided.captures(tmp_path_factory.mktemp("blocks")):
        made += [_copied(each) for each in open_source(str(path)).blocks()]
    packet = tcp(b"x" * 30, src=ONE)
    ways = [Wrapped(carrier, ()) for carrier in CARRIERS]
    ways += [Wrapped(CARRIERS[0], (wrapping,)) for wrapping in WRAPPINGS[::4]]
    made += [block(timed(way.frames(packet)), way.carrier.number) for way in ways]
    return made


def _copied(each: Block) -> Block:
    records = array("q", each.records[: 6 * each.count])
    return Block(bytes(each.data), records, each.count, each.interfaces, each.first, 0)


@pytest.mark.parametrize("by_flow", [False, True])
@pytest.mark.parametrize("workers", [2, 3])
def test_the_loop_decides_as_the_reader_does(
    blocks: list[Block], workers: int, by_flow: bool
) -> None:
    for each in blocks:
        division = Division(workers, PRIVATE, salt=1, by_flow=by_flow)
        for worker in range(workers):
            assert walked(each, worker, division, given=True) == walked(
                each, worker, division, given=False
            )


@pytest.mark.parametrize("by_flow", [False, True])
def test_everything_is_counted_once(blocks: list[Block], by_flow: bool) -> None:
    for each in blocks:
        alone = Loop(seed=3, learning=7, openings=True)
        rows_alone = sum(len(part) for part in [*alone.walk(each), *alone.finish()])
        counts = Counter(alone.anomalies()) + Counter(alone.prefilter.names())
        counts["candidates"] = alone.candidates.total
        total: Counter[str] = Counter()
        found = 0
        for worker in range(3):
            mine, more = walked(
                each, worker, Division(3, PRIVATE, salt=1, by_flow=by_flow), given=True
            )
            total += more
            found += sum(row[layout.ROW_OWNER] == layout.OWNER_SELF for row in mine)
        assert total == +counts
        assert found * layout.ROW_COLUMNS == rows_alone
