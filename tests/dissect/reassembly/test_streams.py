"""TCP reassembly, with a protocol made for it: ``<name>`` once, ``{name}`` any number, and
a conversation of names that each go on from those before: ``[name|more|``."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captures import START

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, ShownName
from netwatch.core.packet import Packet
from netwatch.dissect.reassembly.streams import MAX_REFUSED, Streams

ONCE, AGAIN, TALK = 1, 2, 3
SECOND = 1_000_000_000
SIDE = (7 << 8, 0)
HEADS = {b"<": ONCE, b"{": AGAIN, b"[": TALK}


def parser(opening: bytes, closing: bytes) -> Callable[[bytes, bool], Message]:
    def parse(data: bytes, last: bool) -> Message:
        if data[:1] != opening or b"!" in data:
            raise ParseError("not-a-name")
        end = data.find(closing)
        if end < 0 and not last:
            raise Incomplete(len(data) + 1)
        name = data[1 : end if end >= 0 else len(data)].decode()
        anomalies = () if end >= 0 else ("cut",)
        size = end + 1 if end >= 0 else len(data)
        return Message((ShownName("tls-sni", name),), size, anomalies=anomalies)

    return parse


def talk() -> Callable[[bytes, bool], Message]:
    said = ""

    def parse(data: bytes, last: bool) -> Message:
        nonlocal said
        end = data.find(b"|")
        if b"!" in data or (not said and data[:1] != b"["):
            raise ParseError("not-a-talk")
        if end < 0:
            raise ParseError("cut") if last else Incomplete(len(data) + 1)
        said += data[:end].decode()
        return Message((ShownName("tls-sni", said),), end + 1)

    return parse


def looks(data: bytes) -> int:
    return HEADS.get(data[:1], 0)


def streams(**limits: int) -> Streams:
    parsers = {ONCE: parser(b"<", b">"), AGAIN: parser(b"{", b"}")}
    return Streams(parsers, frozenset({AGAIN}), looks, converses={TALK: talk}, **limits)


def packet(number: int, time: int = START) -> Packet:
    return Packet("test", number, time, 9, "tcp", b"a" * 4, 1, b"b" * 4, 2, None, None, None, 0)


class Feeder:
    """Feeds segments and gathers (packet number, name, cut)."""

    def __init__(self, **limits: int) -> None:
        self.streams = streams(**limits)
        self.number = 0
        self.told: list[tuple[int, str, bool]] = []

    def send(
        self, seq: int, data: bytes, *, side: tuple[int, int] = SIDE, cut: bool = False, at: int = 0
    ) -> None:
        self.number += 1
        found = self.streams.feed(
            looks(data), side, seq % 2**32, data, cut, packet(self.number, START + at)
        )
        self._note(found)

    def flush(self) -> None:
        self._note(list(self.streams.flush()))

    def _note(self, found: list[tuple[Packet, Message]]) -> None:
        for by, message in found:
            self.told += [
                (by.number, shown.name, bool(message.anomalies)) for shown in message.names
            ]

    @property
    def names(self) -> list[str]:
        return [name for _, name, _ in self.told]


def test_whole_in_one_segment() -> None:
    feeder = Feeder()
    feeder.send(100, b"<one>")
    assert feeder.told == [(1, "one", False)]
    feeder.flush()
    assert len(feeder.told) == 1
    assert not feeder.streams.anomalies


def test_told_with_the_packet_that_made_it_whole() -> None:
    feeder = Feeder()
    feeder.send(100, b"<na")
    feeder.send(104, b"e>")
    assert feeder.told == []
    feeder.send(103, b"m")
    assert feeder.told == [(3, "name", False)]


def test_a_repeated_head_is_counted_and_told_once() -> None:
    feeder = Feeder()
    for _ in range(3):
        feeder.send(100, b"<one>")
    assert feeder.names == ["one"]
    assert feeder.streams.anomalies == {"tcp-retransmission": 2}


def test_what_looks_like_a_head_inside_of_a_message_comes_again() -> None:
    feeder = Feeder()
    feeder.send(10, b"<na")
    feeder.send(13, b"<me>")
    assert feeder.told == [(2, "na<me", False)]
    feeder.send(13, b"<me>")
    feeder.send(17, b"<new>")
    assert feeder.told == [(2, "na<me", False), (4, "new", False)]
    assert feeder.streams.anomalies == {"tcp-retransmission": 1}


def test_the_same_on_the_other_side_and_in_another_flow_is_another() -> None:
    feeder = Feeder()
    for side in ((1 << 8, 0), (1 << 8, 1), (2 << 8, 0), (1 << 8 | 1, 0)):
        feeder.send(100, b"<one>", side=side)
    assert feeder.names == ["one"] * 4


@st.composite
def segments(draw: st.DrawFn) -> tuple[str, int, list[tuple[int, bytes]]]:
    """A message, its sequence number, and segments that cover it: in any order, repeated,
    overlapping."""
    name = draw(st.text("abcdefgh", min_size=1, max_size=40))
    data = b"<" + name.encode() + b">"
    start = draw(st.one_of(st.integers(0, 2**32 - 1), st.integers(-50, 50)))
    cuts = sorted(draw(st.sets(st.integers(1, len(data) - 1), max_size=8)))
    edges = [0, *cuts, len(data)]
    spans = list(itertools.pairwise(edges))
    for _ in range(draw(st.integers(0, 5))):
        low = draw(st.integers(0, len(data) - 1))
        spans.append((low, draw(st.integers(low + 1, len(data)))))
    spans = draw(st.permutations(spans))
    return name, start, [(start + low, data[low:high]) for low, high in spans]


@given(segments())
def test_in_any_order_repeated_and_overlapping(
    drawn: tuple[str, int, list[tuple[int, bytes]]],
) -> None:
    name, _, pieces = drawn
    feeder = Feeder()
    for seq, data in pieces:
        feeder.send(seq, data)
    feeder.flush()
    assert [(told, cut) for _, told, cut in feeder.told] == [(name, False)]


@given(segments(), st.data())
def test_with_a_hole_what_came_is_told_at_the_end(
    drawn: tuple[str, int, list[tuple[int, bytes]]], data: st.DataObject
) -> None:
    name, start, pieces = drawn
    hole = data.draw(st.integers(1, len(name) + 1))
    kept = [(seq, part) for seq, part in pieces if not seq <= start + hole < seq + len(part)]
    feeder = Feeder()
    for seq, part in kept:
        feeder.send(seq, part)
    assert feeder.told == []
    feeder.flush()
    there = {seq + n - start for seq, part in kept for n in range(len(part))}
    covered = next(n for n in range(len(name) + 2) if n not in there)
    expected = [(name[: covered - 1], True)] if covered else []
    assert [(told, cut) for _, told, cut in feeder.told] == expected


def test_bytes_that_came_first_stand() -> None:
    feeder = Feeder()
    feeder.send(100, b"<ab")
    feeder.send(101, b"XYc>")
    assert feeder.names == ["abc"]


@pytest.mark.parametrize("pieces", [(b"me", b"me>"), (b"me>", b"me")])
def test_of_two_segments_at_one_place_the_longer_is_kept(pieces: tuple[bytes, bytes]) -> None:
    feeder = Feeder()
    feeder.send(100, b"<")
    for piece in pieces:
        feeder.send(103, piece)
    feeder.send(101, b"na")
    assert feeder.names == ["name"]


def test_the_head_that_comes_last_is_looked_for() -> None:
    feeder = Feeder()
    feeder.send(104, b"me>")
    feeder.send(100, b"<")
    feeder.send(101, b"na-")
    assert feeder.names == ["na-me"]


def test_pipelined_in_one_segment_and_over_several() -> None:
    feeder = Feeder()
    feeder.send(100, b"{one}{two}{th")
    feeder.send(113, b"ree}{four}")
    assert feeder.names == ["one", "two", "three", "four"]


def test_a_later_message_waits_for_the_one_before() -> None:
    feeder = Feeder()
    feeder.send(100, b"{one}")
    feeder.send(110, b"{three}")
    assert feeder.names == ["one"]
    feeder.send(105, b"{two}")
    assert feeder.names == ["one", "two", "three"]


def test_behind_a_hole_that_stays_the_next_head_is_read_at_the_end() -> None:
    feeder = Feeder()
    feeder.send(100, b"{one}")
    feeder.send(110, b"{three}")
    feeder.flush()
    assert feeder.names == ["one", "three"]


def test_a_second_request_on_the_connection() -> None:
    feeder = Feeder()
    feeder.send(100, b"<one>")
    feeder.send(200, b"<tw")
    feeder.send(203, b"o>")
    feeder.send(300, b"<three>")
    assert feeder.names == ["one", "two", "three"]


def test_what_cannot_be_read_is_counted_and_the_next_is_read() -> None:
    feeder = Feeder()
    feeder.send(100, b"<!>")
    feeder.send(200, b"<one>")
    assert feeder.names == ["one"]
    assert feeder.streams.anomalies == {"not-a-name": 1}


@pytest.mark.parametrize("head", [b"<one>", b"<o"])
def test_a_head_that_was_none_does_not_take_the_one_behind_it_along(head: bytes) -> None:
    feeder = Feeder()
    feeder.send(100, b"{")
    feeder.send(101, b"!")
    feeder.send(102, b"x<two>")
    assert feeder.streams.anomalies == {"not-a-name": 1}
    other = Feeder()
    other.send(100, b"{")
    other.send(104, head)
    other.send(104 + len(head), b"ne>" if len(head) == 2 else b"stray")
    other.send(101, b"no!")
    assert other.names == ["one"]
    assert other.streams.anomalies == {"not-a-name": 1}


def test_what_looked_like_another_kind_at_first_is_read_as_what_it_is() -> None:
    """The kernel tells by the first segment; more bytes may tell better."""
    feeder = Feeder()
    for seq, data, kind in ((100, b"<", AGAIN), (101, b"na", 0), (103, b"me>", 0)):
        feeder.number += 1
        feeder._note(feeder.streams.feed(kind, SIDE, seq, data, False, packet(feeder.number)))
    assert feeder.names == ["name"]
    assert feeder.streams.anomalies == {"not-a-name": 1}


def test_heads_that_are_none_are_given_up_at_last() -> None:
    """Else each of very many could have all behind it read once more."""
    for count, names in ((MAX_REFUSED, ["one"]), (MAX_REFUSED + 1, [])):
        feeder = Feeder()
        for at in range(count):
            feeder.send(100 + at, b"{")
        feeder.send(101 + count, b"<one>")
        feeder.send(100 + count, b"!")
        assert feeder.names == names
        assert feeder.streams.anomalies == {"not-a-name": count}
        feeder.send(106 + count, b"<two>")
        assert feeder.names == [*names, "two"]


# conversations


def test_each_message_of_a_conversation_goes_on_from_those_before() -> None:
    feeder = Feeder()
    for seq, data in ((109, b"f|"), (100, b"[a|b"), (104, b"c|de"), (104, b"c|"), (108, b"|")):
        feeder.send(seq, data)
    assert feeder.names == ["[a", "[abc", "[abcde", "[abcdef"]
    assert feeder.streams.waits(SIDE)
    assert not feeder.streams.anomalies


@given(st.permutations(range(9)), st.lists(st.integers(0, 8), max_size=5))
def test_a_conversation_in_any_order(order: list[int], again: list[int]) -> None:
    whole = b"[one|two|three|fo{r|six<|"
    parts = [whole[at : at + 3] for at in range(0, len(whole), 3)]
    feeder = Feeder()
    for at in (*order, *again):
        kind = TALK if at == 0 else 0
        feeder.number += 1
        by = packet(feeder.number)
        feeder._note(feeder.streams.feed(kind, SIDE, 100 + 3 * at, parts[at], False, by))
    feeder.flush()
    names = whole[:-1].decode().split("|")
    assert feeder.names == ["".join(names[: at + 1]) for at in range(len(names))]


def test_what_looks_like_a_head_inside_of_a_conversation_is_none() -> None:
    feeder = Feeder()
    feeder.send(100, b"[a|b")
    feeder.send(104, b"<one>")
    feeder.flush()
    assert feeder.names == ["[a"]


def test_a_conversation_that_pauses_is_remembered() -> None:
    feeder = Feeder()
    feeder.send(100, b"[a|")
    feeder.send(100, b"<one>", side=(9 << 8, 0), at=3600 * SECOND)
    feeder.send(103, b"b|", at=7200 * SECOND)
    assert feeder.names == ["[a", "one", "[ab"]
    assert not feeder.streams.anomalies


def test_of_too_many_that_pause_the_least_recent_is_forgotten() -> None:
    feeder = Feeder(pausing=2)
    for flow in range(4):
        feeder.send(100, b"[%d|" % flow, side=(flow << 8, 0), at=61 * flow * SECOND)
    for flow in range(4):
        feeder.send(103, b"x|", side=(flow << 8, 0), at=250 * SECOND)
    assert feeder.names == ["[0", "[1", "[2", "[3", "[1x", "[2x", "[3x"]
    assert feeder.streams.anomalies == {"tcp-streams-full": 1}
    assert len(feeder.streams._talks) == 3


def test_a_conversation_that_breaks_off_leaves_nothing_behind() -> None:
    feeder = Feeder()
    feeder.send(100, b"[a|")
    feeder.send(103, b"b!")
    feeder.send(105, b"c|")
    feeder.send(100, b"[cut", side=(9 << 8, 0))
    feeder.flush()
    assert feeder.names == ["[a"]
    assert feeder.streams.anomalies == {"not-a-talk": 1, "cut": 1}
    assert feeder.streams._talks == {}


def test_behind_the_end_strays_are_let_go() -> None:
    feeder = Feeder()
    feeder.send(100, b"<one>")
    for n in range(50):
        feeder.send(105 + 10 * n, b"stray data")
    feeder.flush()
    assert feeder.names == ["one"]
    assert not feeder.streams.anomalies


@pytest.mark.parametrize("whole", [False, True])
def test_a_segment_cut_by_the_snap_length_is_read_as_far_as_it_goes(whole: bool) -> None:
    feeder = Feeder()
    feeder.send(100, b"<one>" if whole else b"<on", cut=True)
    assert feeder.told == [(1, "one", False) if whole else (1, "on", True)]


def test_a_later_segment_cut_by_the_snap_length() -> None:
    feeder = Feeder()
    feeder.send(100, b"<on")
    feeder.send(103, b"e", cut=True)
    feeder.send(150, b"more")
    assert feeder.told == [(2, "one", True)]


def test_an_old_stream_is_told_and_counted() -> None:
    feeder = Feeder()
    feeder.send(100, b"<old")
    feeder.send(100, b"<new", side=(9 << 8, 0), at=60 * SECOND)
    assert feeder.told == []
    feeder.send(104, b"er>", side=(9 << 8, 0), at=61 * SECOND)
    assert feeder.told == [(3, "newer", False), (1, "old", True)]
    assert feeder.streams.anomalies["tcp-stream-aged"] == 1


def test_of_too_many_the_least_recent_goes() -> None:
    feeder = Feeder(limit=3)
    for n in range(5):
        feeder.send(100, b"<n%d" % n, side=(n << 8, 0))
        feeder.send(103, b"x", side=(0, 0))
    assert feeder.streams.anomalies == {"tcp-streams-full": 2}
    assert [(name, cut) for _, name, cut in feeder.told] == [("n1", True), ("n2", True)]


def test_of_too_many_bytes_the_least_recent_goes() -> None:
    feeder = Feeder(limit_bytes=100)
    for n in range(3):
        feeder.send(100, b"<" + b"x" * 45, side=(n << 8, 0))
    assert feeder.streams.anomalies == {"tcp-streams-full": 1}
    assert len(feeder.told) == 1


def test_a_stream_without_end_is_given_up() -> None:
    feeder = Feeder(limit_stream=100)
    for n in range(20):
        feeder.send(100 + 10 * n, b"<" + b"x" * 9 if not n else b"y" * 10)
    assert feeder.streams.anomalies == {"tcp-stream-too-long": 1}
    assert len(feeder.told) == 1


def test_what_is_remembered_is_bounded() -> None:
    feeder = Feeder(remembered=10)
    for n in range(30):
        feeder.send(100, b"<one>", side=(n << 8, 0))
    feeder.send(100, b"<one>", side=(29 << 8, 0))
    feeder.send(100, b"<one>", side=(0, 0))
    assert len(feeder.names) == 31
    assert feeder.streams.anomalies == {"tcp-retransmission": 1}


def test_what_comes_again_of_a_conversation_set_apart_brings_no_stream_back() -> None:
    feeder = Feeder(limit=2, pausing=2)
    feeder.send(0, b"[|", side=(256, 0))
    for n in (2, 3):
        feeder.send(0, b"<", side=(n << 8, 0))
    assert feeder.streams.pauses((256, 0))
    feeder.send(0, b"[|", side=(256, 0))
    assert feeder.streams.anomalies["tcp-retransmission"] == 1
    assert feeder.streams.table()[0] == 2
    assert feeder.streams.pauses((256, 0))


PIECES = st.tuples(
    st.integers(0, 3),
    st.integers(-40, 40),
    st.text("<>{}[|!ab", min_size=1, max_size=12),
    st.booleans(),
    st.integers(0, 30 * SECOND),
)


@given(st.lists(PIECES, max_size=40))
def test_any_segments_stay_within_the_limits(
    pieces: list[tuple[int, int, str, bool, int]],
) -> None:
    feeder = Feeder(limit=2, limit_bytes=60, limit_stream=30, remembered=4, pausing=2)
    held = feeder.streams
    for flow, seq, text, cut, at in pieces:
        feeder.send(seq, text.encode(), side=(flow << 8, 0), cut=cut, at=at)
        assert held._bytes == sum(stream.size for stream in held._streams.values())
        for stream in held._streams.values():
            assert stream.size == len(stream.data) + sum(map(len, stream.kept.values()))
            assert sorted(stream.order) == sorted(stream.kept)
        assert held._bytes <= 60
        assert len(held._streams) <= 2
        assert len(held._read) <= 4
        assert len(held._paused) <= 2
        assert all(stream.size == 0 for stream in held._paused.values())
        assert held._talks.keys() <= held._streams.keys() | held._paused.keys()
        assert len(held._over) <= 4
    feeder.flush()
    assert (held._bytes, held._streams) == (0, {})
