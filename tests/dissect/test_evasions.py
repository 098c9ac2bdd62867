"""Hellos that hide from whoever reads along: among records and segments that servers read all the
same, and behind decoys. Each is read by the parsers alone, and with the packet loop."""

import random
from collections.abc import Sequence
from itertools import pairwise

import handshakes
import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import layers
from support.captures import dissector, observed, timed
from support.examples import examples
from support.frames import tcp, udp

RAW = 101
SYN = tcp(flags="S", seq=1000)
DECOY, NAME = "www.example.org", "api.app.example"
EMPTY, WARNING = b"\x16\3\1\0\0", b"\x15\3\1\0\2\1\0"


def hello(name: str, *, large: bool = False, limit: int = 16384) -> bytes:
    made = handshakes.client_hello(name, random.Random(1), post_quantum=large)
    return handshakes.records(made, limit)


FAKE, REAL, LARGE = hello(DECOY), hello(NAME), hello(NAME, large=True)
REQUEST = messages.request("GET", "/", DECOY, "Accept: */*")


def segments(data: bytes, count: int, *, last_first: bool = False) -> list[bytes]:
    cuts = [len(data) * part // count for part in range(count + 1)]
    made = [tcp(data[a:b], seq=1001 + a) for a, b in pairwise(cuts)]
    return made[::-1] if last_first else made


def shown(packets: Sequence[bytes], *, parse_all: bool) -> tuple[list[str], dict[str, int]]:
    """The names, and the anomalies."""
    by = dissector(parse_all=parse_all)
    names = [each.name for each in observed(timed(packets), RAW, by=by)]
    return names, dict(by.anomalies())


def name_statuses(packets: Sequence[bytes]) -> list[tuple[str, bool]]:
    """What is told of the names of the flows, and whether a message of theirs is incomplete."""
    by = dissector(name_status=lambda message: 3 if message.names else 2)
    observed(timed(packets), RAW, by=by)
    return [(flow.name_status, flow.incomplete_message) for flow in (*by.flows(), *by.end_flows())]


both_ways = pytest.mark.parametrize("parse_all", [True, False])


@both_ways
@pytest.mark.parametrize(
    ("data", "anomalies"),
    [
        (EMPTY * 32 + REAL, {"tls-empty-record": 1}),
        (EMPTY + WARNING + REAL, {"tls-empty-record": 1, "tls-warning-alert": 1}),
        (
            hello(NAME, limit=90).replace(b"\x16\3\1", EMPTY * 9 + b"\x16\3\1"),
            {"tls-empty-record": 1},
        ),
        (REAL[:1] + b"\3\x99" + REAL[3:], {}),
        (hello(NAME, limit=1), {}),
    ],
)
@pytest.mark.parametrize("count", [1, 3, 50])
def test_records_that_servers_read(
    data: bytes, anomalies: dict[str, int], count: int, parse_all: bool
) -> None:
    assert shown([SYN, *segments(data, count)], parse_all=parse_all) == ([NAME], anomalies)


@both_ways
@pytest.mark.parametrize("data", [REAL, LARGE])
@pytest.mark.parametrize("count", [2, 6, 20, 200])
def test_segments_last_first(data: bytes, count: int, parse_all: bool) -> None:
    packets = segments(data, count, last_first=True)
    assert shown([SYN, *packets], parse_all=parse_all) == ([NAME], {})
    assert shown([SYN, packets[0], *packets[:0:-1]], parse_all=parse_all) == ([NAME], {})


DECOYS = {
    "whole": [tcp(FAKE)],
    "in segments": segments(hello(DECOY, large=True), 2),
    "without ACK": [tcp(FAKE, flags="P")],
    "behind the window": [tcp(FAKE, seq=1001 + (1 << 30))],
    "before the window": [tcp(FAKE, seq=(1001 - (1 << 20)) % 2**32)],
    "ahead": [tcp(FAKE, seq=4001)],
    "amid": [tcp(FAKE, seq=1101)],
    "twice": [tcp(FAKE), tcp(FAKE)],
}


@both_ways
@pytest.mark.parametrize("decoy", DECOYS.values(), ids=DECOYS.keys())
@pytest.mark.parametrize("count", [1, 3, 90])
@pytest.mark.parametrize("last_first", [False, True])
def test_the_hello_behind_a_decoy_is_named_too(
    decoy: list[bytes], count: int, last_first: bool, parse_all: bool
) -> None:
    packets = [SYN, *decoy, *segments(REAL, count, last_first=last_first)]
    names, _ = shown(packets, parse_all=parse_all)
    assert sorted(names) == sorted([DECOY, NAME])


@both_ways
@pytest.mark.parametrize("count", [1, 3, 90])
def test_the_hello_behind_a_request_is_named_too(count: int, parse_all: bool) -> None:
    names, _ = shown([SYN, tcp(REQUEST), *segments(REAL, count)], parse_all=parse_all)
    assert names == [DECOY, NAME]


@both_ways
@pytest.mark.parametrize(
    "real",
    [
        [tcp(REAL[60:], seq=1061)],
        [tcp(REAL[60:300], seq=1061), tcp(REAL[300:], seq=1301)],
        [tcp(REAL[300:], seq=1301), tcp(REAL[60:300], seq=1061)],
    ],
)
def test_a_hello_that_shares_a_segment_with_a_decoy(real: list[bytes], parse_all: bool) -> None:
    packets = [SYN, tcp(REAL[:60]), tcp(FAKE[60:], seq=1061), *real]
    names, anomalies = shown(packets, parse_all=parse_all)
    assert (names, anomalies["tcp-overlap"]) == ([DECOY, NAME], 1)


@both_ways
def test_segments_each_behind_a_decoy_of_it(parse_all: bool) -> None:
    pairs = zip(segments(FAKE, 5), segments(REAL, 5), strict=True)
    names, anomalies = shown([SYN, *(each for pair in pairs for each in pair)], parse_all=parse_all)
    assert (sorted(names), anomalies["tcp-overlap"]) == ([NAME, DECOY], 1)


@both_ways
@pytest.mark.parametrize("again", [1, 2, 3, 50])
def test_a_retransmission_however_cut_counts_once(again: int, parse_all: bool) -> None:
    packets = [SYN, *segments(LARGE, 2)]
    repeated = segments(LARGE, again)
    for more in ([*repeated], [*repeated[::-1]], [repeated[0]], [repeated[-1]]):
        names, anomalies = shown([*packets, *more], parse_all=parse_all)
        assert (names, set(anomalies) - {"tcp-retransmission"}) == ([NAME], set())


@both_ways
def test_a_keep_alive_is_no_decoy(parse_all: bool) -> None:
    packets = [SYN, tcp(REAL), tcp(b"\0", seq=1000 + len(REAL))]
    assert shown(packets, parse_all=parse_all) == ([NAME], {})


UNREAD = {
    "the real hello is incomplete": [SYN, tcp(FAKE), tcp(LARGE[:700])],
    "the end of the real hello came too early": [
        SYN,
        tcp(FAKE),
        *segments(LARGE, 3, last_first=True),
    ],
    "no hello is behind the decoy": [SYN, tcp(FAKE), tcp(b"\x99" * 300)],
}


@pytest.mark.parametrize("packets", UNREAD.values(), ids=UNREAD.keys())
def test_a_decoy_before_what_cannot_be_read_names_no_flow(packets: list[bytes]) -> None:
    assert name_statuses(packets) == [("none", True)]
    assert DECOY in shown(packets, parse_all=True)[0]


@pytest.mark.parametrize("decoy", ["without ACK", "behind the window", "before the window"])
def test_a_segment_that_no_server_takes_names_no_flow(decoy: str) -> None:
    assert name_statuses([SYN, *DECOYS[decoy]])[0][0] == "none"
    assert name_statuses([SYN, tcp(FAKE)]) == []


@both_ways
@examples(60)
@given(data=st.data())
def test_a_hello_and_a_decoy_however_cut_and_mixed(data: st.DataObject, parse_all: bool) -> None:
    """The segments of both in any order; each is contiguous in the order that it is sent in, or
    comes behind all of the other."""
    real = data.draw(st.sampled_from([REAL, LARGE, EMPTY + REAL]))
    fake = data.draw(st.sampled_from([[], [tcp(FAKE)], [tcp(FAKE, flags="P")], segments(FAKE, 2)]))
    count = data.draw(st.integers(1, 12))
    pieces = segments(real, count)
    pieces += data.draw(st.lists(st.sampled_from(pieces), max_size=3))
    if len(real) <= len(FAKE) or not fake:
        pieces = data.draw(st.permutations(pieces))
    names, _ = shown([SYN, *fake, *pieces], parse_all=parse_all)
    assert sorted(names) == sorted([DECOY] * bool(fake) + [NAME])


# fragments


@pytest.mark.parametrize("last_first", [False, True])
def test_fragments_with_other_bytes(last_first: bool) -> None:
    """Both datagrams are read, as segments with other bytes at one place."""
    fake, real = (layers.fragments(tcp(data), (20, 40, 60), 7) for data in (FAKE, REAL))
    mixed = [each for pair in zip(fake, real, strict=True) for each in pair]
    names, anomalies = shown([SYN, *mixed[:: -1 if last_first else 1]], parse_all=False)
    assert sorted(names) == sorted([DECOY, NAME])
    assert anomalies["ip-fragment-overlap"] == 1


def test_a_fragment_that_comes_behind_a_whole_datagram() -> None:
    fake, real = (layers.fragments(tcp(data), (8,), 7) for data in (FAKE, REAL))
    names, _ = shown([SYN, real[0], fake[1], real[1]], parse_all=False)
    assert NAME in names


# QUIC


def initials(
    name: str, parts: Sequence[tuple[int, int | None]] = ((0, None),), *, key: int = 7
) -> list[bytes]:
    """Initial packets with these parts of a hello, with keys of this connection id."""
    made = handshakes.client_hello(name, random.Random(1), quic=handshakes.QUIC_V1)
    return [
        udp(
            handshakes.quic_initial(
                handshakes.QUIC_V1,
                bytes([key]) * 8,
                b"\1" * 5,
                number,
                handshakes.crypto_frame(made, start, len(made) if end is None else end),
            ),
            dport=443,
        )
        for number, (start, end) in enumerate(parts)
    ]


HALVES = ((0, 250), (250, None))
QUIC_DECOYS = {
    "of another connection": initials(DECOY, key=5),
    "of another connection, in halves": initials(DECOY, HALVES, key=5),
    "of the same connection": initials(DECOY),
}


@both_ways
@pytest.mark.parametrize("decoy", QUIC_DECOYS.values(), ids=QUIC_DECOYS.keys())
@pytest.mark.parametrize("parts", [((0, None),), HALVES, HALVES[::-1]])
def test_the_hello_behind_a_decoy_in_quic(
    decoy: list[bytes], parts: Sequence[tuple[int, int | None]], parse_all: bool
) -> None:
    names, _ = shown([*decoy, *initials(NAME, parts)], parse_all=parse_all)
    assert names == [DECOY, NAME]


@both_ways
def test_a_retransmission_in_quic_counts_once(parse_all: bool) -> None:
    packets = [*initials(NAME, HALVES), *initials(NAME, HALVES[::-1]), *initials(NAME)]
    assert shown(packets, parse_all=parse_all) == ([NAME], {})


def test_a_decoy_before_what_cannot_be_read_names_no_flow_of_quic() -> None:
    packets = [*QUIC_DECOYS["of another connection"], *initials(NAME, HALVES)[1:]]
    assert name_statuses(packets) == [("none", True)]


@both_ways
@pytest.mark.parametrize("count", [2, 3])
def test_a_second_hello_that_comes_last_segment_first(count: int, parse_all: bool) -> None:
    """Its name is not read and says nothing against the first one; the hello is counted."""
    first = 1001 + len(FAKE)
    cuts = [len(LARGE) * part // count for part in range(count + 1)]
    parts = [tcp(LARGE[a:b], seq=first + a) for a, b in pairwise(cuts)]
    packets = [SYN, tcp(FAKE, seq=1001), *parts[::-1]]
    assert shown(packets, parse_all=parse_all) == ([DECOY], {"tls-hello-cut": 1})
