"""TCP reassembly, with invented protocols: ``<name>`` is a single message, ``{name}`` one of
several, and in a conversation ``[name|more|`` each name is appended to those before."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captures import START

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message, Packet, ShownName
from netwatch.dissect.reassembly.stream import Segment
from netwatch.dissect.reassembly.stream_parsers import StreamParsers
from netwatch.dissect.reassembly.streams import MAX_REFUSED, StreamReassembler

SINGLE, PERSISTENT, CONVERSATION = 1, 2, 3
SECOND = 1_000_000_000
SIDE = (7 << 8, 0)
HEADS = {b"<": SINGLE, b"{": PERSISTENT, b"[": CONVERSATION}


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


def conversation() -> Callable[[bytes, bool], Message]:
    names = ""

    def parse(data: bytes, last: bool) -> Message:
        nonlocal names
        end = data.find(b"|")
        if b"!" in data or (not names and data[:1] != b"["):
            raise ParseError("not-a-conversation")
        if end < 0:
            raise ParseError("cut") if last else Incomplete(len(data) + 1)
        names += data[:end].decode()
        return Message((ShownName("tls-sni", names),), end + 1)

    return parse


def detect_kind(data: bytes) -> int:
    return HEADS.get(data[:1], 0)


def streams(**limits: int) -> StreamReassembler:
    parsers = StreamParsers(
        {SINGLE: parser(b"<", b">"), PERSISTENT: parser(b"{", b"}")},
        {CONVERSATION: conversation},
        frozenset({PERSISTENT}),
        lambda kind, side, data: False,
    )
    return StreamReassembler(parsers, detect_kind, **limits)


def packet(number: int, time: int = START) -> Packet:
    return Packet("test", number, time, 9, "tcp", b"a" * 4, 1, b"b" * 4, 2, None, None, None, 0)


class Feeder:
    """Feeds segments and collects (packet number, name, whether the message was cut)."""

    def __init__(self, **limits: int) -> None:
        self.streams = streams(**limits)
        self.number = 0
        self.now = START
        self.found: list[tuple[int, str, bool]] = []

    def send(
        self,
        seq: int,
        data: bytes,
        *,
        kind: int | None = None,
        side: tuple[int, int] = SIDE,
        truncated: bool = False,
        at: int = 0,
    ) -> None:
        self.number += 1
        kind = detect_kind(data) if kind is None else kind
        candidate = packet(self.number, START + at)
        segment = Segment(
            candidate, data, kind=kind, side=side, seq=seq % 2**32, truncated=truncated
        )
        self.now = START + at
        self._collect(self.streams.expire(side, self.now))
        self._collect(self.streams.feed(segment))

    def flush(self, at: int = 0) -> None:
        self._collect(list(self.streams.flush(max(self.now, START + at))))

    def _collect(self, found: list[tuple[Packet, Message]]) -> None:
        for last, message in found:
            self.found += [
                (last.number, shown.name, bool(message.anomalies)) for shown in message.names
            ]

    @property
    def names(self) -> list[str]:
        return [name for _, name, _ in self.found]


def test_a_message_in_one_segment() -> None:
    feeder = Feeder()
    feeder.send(100, b"<one>")
    assert feeder.found == [(1, "one", False)]
    feeder.flush()
    assert len(feeder.found) == 1
    assert not feeder.streams.anomalies


def test_a_message_comes_with_the_packet_that_completed_it() -> None:
    feeder = Feeder()
    feeder.send(100, b"<na")
    feeder.send(104, b"e>")
    assert feeder.found == []
    feeder.send(103, b"m")
    assert feeder.found == [(3, "name", False)]


def test_a_retransmitted_head_is_counted_and_read_once() -> None:
    feeder = Feeder()
    for _ in range(3):
        feeder.send(100, b"<one>")
    assert feeder.names == ["one"]
    assert feeder.streams.anomalies == {"tcp-retransmission": 2}


def test_a_retransmitted_segment_inside_of_a_message_that_looks_like_a_head() -> None:
    feeder = Feeder()
    feeder.send(10, b"<na")
    feeder.send(13, b"<me>")
    assert feeder.found == [(2, "na<me", False)]
    feeder.send(13, b"<me>")
    feeder.send(17, b"<new>")
    assert feeder.found == [(2, "na<me", False), (4, "new", False)]
    assert feeder.streams.anomalies == {"tcp-retransmission": 1}


def test_the_same_bytes_on_another_side_or_flow_are_another_message() -> None:
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
    assert [(read, cut) for _, read, cut in feeder.found] == [(name, False)]


@given(segments(), st.data())
def test_what_came_before_a_gap_is_read_at_the_end(
    drawn: tuple[str, int, list[tuple[int, bytes]]], data: st.DataObject
) -> None:
    name, start, pieces = drawn
    gap = data.draw(st.integers(1, len(name) + 1))
    captured = [(seq, part) for seq, part in pieces if not seq <= start + gap < seq + len(part)]
    feeder = Feeder()
    for seq, part in captured:
        feeder.send(seq, part)
    assert feeder.found == []
    feeder.flush()
    there = {seq + n - start for seq, part in captured for n in range(len(part))}
    covered = next(n for n in range(len(name) + 2) if n not in there)
    expected = [(name[: covered - 1], True)] if covered else []
    assert [(read, cut) for _, read, cut in feeder.found] == expected


def test_bytes_that_came_first_are_used_and_then_those_that_came_last() -> None:
    feeder = Feeder()
    feeder.send(100, b"<ab")
    feeder.send(101, b"XYc>")
    assert feeder.names == ["abc", "XYc"]
    assert feeder.streams.anomalies == {"tcp-overlap": 1}


def test_other_bytes_of_a_message_that_was_read_are_put_together() -> None:
    feeder = Feeder()
    feeder.send(100, b"<real>")
    feeder.send(103, b"se>")
    feeder.send(101, b"fal")
    assert feeder.names == ["real"]
    feeder.send(100, b"[")
    feeder.flush()
    assert feeder.names == ["real"]
    feeder.send(100, b"<other>")
    feeder.send(100, b"<real>")
    feeder.send(100, b"<other>")
    assert feeder.names == ["real", "other"]


def test_bytes_that_did_not_come_again_are_those_of_the_message() -> None:
    unread: list[int] = []
    feeder = Feeder(unread=unread.append)
    feeder.send(100, b"<real>")
    feeder.send(103, b"XX")
    assert feeder.names == ["real"]
    feeder.flush()
    assert (feeder.names, unread) == (["real", "reXX"], [])
    feeder.send(103, b"!!")
    feeder.flush()
    assert (feeder.names, unread) == (["real", "reXX"], [SIDE[0]])


def test_of_a_stray_side_nothing_counts_as_unread() -> None:
    unread: list[int] = []
    feeder = Feeder(unread=unread.append)
    for side in (4, 5):
        feeder.send(100, b"<real>", side=(SIDE[0], side))
        feeder.send(103, b"!!", side=(SIDE[0], side))
    feeder.flush()
    assert unread == []


def test_the_bytes_of_messages_are_remembered_up_to_a_limit() -> None:
    feeder = Feeder(max_remembered=2)
    for seq in (100, 200, 300):
        feeder.send(seq, b"<name>")
    for seq in (300, 200):
        feeder.send(seq, b"<name>")
    assert feeder.names == ["name"] * 3
    feeder.send(100, b"<name>")
    assert feeder.names == ["name"] * 4


@pytest.mark.parametrize("pieces", [(b"me", b"me>"), (b"me>", b"me")])
def test_of_two_segments_at_one_position_the_longer_is_used(pieces: tuple[bytes, bytes]) -> None:
    feeder = Feeder()
    feeder.send(100, b"<")
    for piece in pieces:
        feeder.send(103, piece)
    feeder.send(101, b"na")
    assert feeder.names == ["name"]


def test_the_head_may_come_last() -> None:
    feeder = Feeder()
    feeder.send(104, b"me>")
    feeder.send(100, b"<")
    feeder.send(101, b"na-")
    assert feeder.names == ["na-me"]


def test_pipelined_messages_in_one_segment_and_over_several() -> None:
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


def test_a_head_after_a_gap_is_read_at_the_end() -> None:
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


def test_a_refused_message_is_counted_and_the_next_is_read() -> None:
    feeder = Feeder()
    feeder.send(100, b"<!>")
    feeder.send(200, b"<one>")
    assert feeder.names == ["one"]
    assert feeder.streams.anomalies == {"not-a-name": 1}


@pytest.mark.parametrize("head", [b"<one>", b"<o"])
def test_a_head_that_was_none_does_not_hide_the_one_after_it(head: bytes) -> None:
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


def test_a_message_that_looked_like_another_kind_at_first() -> None:
    """The packet loop decides by the first segment; more bytes may show another kind."""
    feeder = Feeder()
    for seq, data, kind in ((100, b"<", PERSISTENT), (101, b"na", 0), (103, b"me>", 0)):
        feeder.send(seq, data, kind=kind)
    assert feeder.names == ["name"]
    assert feeder.streams.anomalies == {"not-a-name": 1}


def test_after_too_many_refused_heads_the_stream_is_discarded() -> None:
    """Otherwise each of many heads could make a parser read all bytes after it again."""
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


def test_each_message_of_a_conversation_builds_on_those_before() -> None:
    feeder = Feeder()
    for seq, data in ((109, b"f|"), (100, b"[a|b"), (104, b"c|de"), (104, b"c|"), (108, b"|")):
        feeder.send(seq, data)
    assert feeder.names == ["[a", "[abc", "[abcde", "[abcdef"]
    assert feeder.streams.expects_more(SIDE)
    assert not feeder.streams.anomalies


@given(st.permutations(range(9)), st.lists(st.integers(0, 8), max_size=5))
def test_a_conversation_in_any_order(order: list[int], again: list[int]) -> None:
    whole = b"[one|two|three|fo{r|six<|"
    parts = [whole[at : at + 3] for at in range(0, len(whole), 3)]
    feeder = Feeder()
    for at in (*order, *again):
        kind = CONVERSATION if at == 0 else 0
        feeder.send(100 + 3 * at, parts[at], kind=kind)
    feeder.flush()
    names = whole[:-1].decode().split("|")
    assert feeder.names == ["".join(names[: at + 1]) for at in range(len(names))]


def test_inside_of_a_conversation_there_are_no_other_heads() -> None:
    feeder = Feeder()
    feeder.send(100, b"[a|b")
    feeder.send(104, b"<one>")
    feeder.flush()
    assert feeder.names == ["[a"]


def test_a_paused_conversation_is_remembered() -> None:
    feeder = Feeder()
    feeder.send(100, b"[a|")
    feeder.send(100, b"<one>", side=(9 << 8, 0), at=3600 * SECOND)
    feeder.send(103, b"b|", at=7200 * SECOND)
    assert feeder.names == ["[a", "one", "[ab"]
    assert not feeder.streams.anomalies


def test_of_too_many_paused_conversations_the_least_recent_is_forgotten() -> None:
    feeder = Feeder(max_paused=2)
    for flow in range(4):
        feeder.send(100, b"[%d|" % flow, side=(flow << 8, 0), at=61 * flow * SECOND)
    for flow in range(4):
        feeder.send(103, b"x|", side=(flow << 8, 0), at=240 * SECOND)
    assert feeder.names == ["[0", "[1", "[2", "[3", "[1x", "[2x", "[3x"]
    assert feeder.streams.anomalies == {"tcp-streams-full": 1}
    assert len(feeder.streams._parsers._conversations) == 3


def test_an_interrupted_conversation_leaves_nothing_behind() -> None:
    feeder = Feeder()
    feeder.send(100, b"[a|")
    feeder.send(103, b"b!")
    feeder.send(105, b"c|")
    feeder.send(100, b"[cut", side=(9 << 8, 0))
    feeder.flush()
    assert feeder.names == ["[a"]
    assert feeder.streams.anomalies == {"not-a-conversation": 1, "cut": 1}
    assert feeder.streams._parsers._conversations == {}


def test_segments_after_the_last_message_are_ignored() -> None:
    feeder = Feeder()
    feeder.send(100, b"<one>")
    for n in range(50):
        feeder.send(105 + 10 * n, b"stray data")
    feeder.flush()
    assert feeder.names == ["one"]
    assert not feeder.streams.anomalies


@pytest.mark.parametrize("complete", [False, True])
def test_a_segment_cut_by_the_snap_length_is_read_as_far_as_it_goes(complete: bool) -> None:
    feeder = Feeder()
    feeder.send(100, b"<one>" if complete else b"<on", truncated=True)
    assert feeder.found == [(1, "one", False) if complete else (1, "on", True)]


def test_a_later_segment_cut_by_the_snap_length() -> None:
    feeder = Feeder()
    feeder.send(100, b"<on")
    feeder.send(103, b"e", truncated=True)
    feeder.send(150, b"more")
    assert feeder.found == [(2, "one", True)]


def test_a_stream_that_times_out_is_read_and_counted() -> None:
    feeder = Feeder()
    feeder.send(100, b"<old")
    feeder.send(100, b"<new", side=(9 << 8, 0), at=60 * SECOND)
    assert feeder.found == []
    feeder.send(104, b"er>", side=(9 << 8, 0), at=61 * SECOND)
    assert feeder.found == [(1, "old", True), (3, "newer", False)]
    assert feeder.streams.anomalies["tcp-stream-aged"] == 1


@pytest.mark.parametrize("others", [False, True])
def test_whether_a_stream_times_out_does_not_depend_on_other_traffic(others: bool) -> None:
    feeder = Feeder()
    feeder.send(100, b"<ol")
    if others:
        feeder.send(100, b"<other>", side=(9 << 8, 0), at=61 * SECOND)
    feeder.send(103, b"d>", at=62 * SECOND)
    feeder.flush()
    assert [name for name in feeder.names if name != "other"] == ["ol"]
    assert feeder.streams.anomalies == {"tcp-stream-aged": 1}


@pytest.mark.parametrize(("at", "aged"), [(60, 0), (61, 1)])
def test_a_stream_that_times_out_before_the_last_packet_is_counted(at: int, aged: int) -> None:
    feeder = Feeder()
    feeder.send(100, b"<old")
    feeder.flush(at * SECOND)
    assert feeder.found == [(1, "old", True)]
    assert feeder.streams.anomalies["tcp-stream-aged"] == aged


@pytest.mark.parametrize("others", [False, True])
def test_a_side_that_was_silent_between_two_messages_goes_on(others: bool) -> None:
    feeder = Feeder()
    feeder.send(100, b"{one}")
    for at in range(61, 1000, 300) if others else ():
        feeder.send(at, b"<other>", side=(9 << 8, 0), at=at * SECOND)
    feeder.send(105, b"{", kind=0, at=1000 * SECOND)
    feeder.send(106, b"two}", kind=0, at=1000 * SECOND)
    # A message that waits for its first bytes.
    feeder.send(112, b"hree}", kind=0, at=2000 * SECOND)
    feeder.send(110, b"{t", kind=0, at=2000 * SECOND)
    assert [name for name in feeder.names if name != "other"] == ["one", "two", "three"]
    assert not feeder.streams.anomalies


def test_a_retransmission_after_a_silence_is_not_read_again() -> None:
    feeder = Feeder()
    feeder.send(100, b"{one}")
    feeder.send(102, b"ne}", kind=0, at=100 * SECOND)
    feeder.send(105, b"{two}", kind=0, at=101 * SECOND)
    feeder.flush()
    assert feeder.names == ["one", "two"]
    assert not feeder.streams.anomalies


def test_bytes_that_are_missing_after_a_silence_are_counted() -> None:
    feeder = Feeder()
    feeder.send(100, b"{one}")
    feeder.send(120, b"{two}", at=100 * SECOND)
    assert feeder.names == ["one", "two"]
    assert feeder.streams.anomalies == {"tcp-gap": 1}


@pytest.mark.parametrize("opening", [b"{", b"["])
def test_bytes_that_are_missing_between_messages_are_counted(opening: bytes) -> None:
    feeder = Feeder()
    closing = b"}" if opening == b"{" else b"|"
    feeder.send(100, opening + b"one" + closing)
    feeder.send(110, b"lost" + closing, kind=0)
    feeder.send(120, b"more" + closing, kind=0)
    feeder.flush()
    assert len(feeder.names) == 1
    assert feeder.streams.anomalies == {"tcp-gap": 1}


def test_messages_behind_missing_bytes_are_read() -> None:
    feeder = Feeder()
    feeder.send(100, b"{one}")
    feeder.send(110, b"{two}{three}{fo")
    feeder.send(125, b"ur}", kind=0)
    feeder.flush()
    assert feeder.found == [
        (1, "one", False),
        (2, "two", False),
        (2, "three", False),
        (2, "four", False),
    ]
    assert feeder.streams.anomalies == {"tcp-gap": 1}


def test_a_second_message_that_is_incomplete_at_the_end_is_read() -> None:
    feeder = Feeder()
    feeder.send(100, b"{one}")
    feeder.send(105, b"{", kind=0)
    feeder.send(106, b"tw", kind=0)
    feeder.flush()
    assert feeder.found == [(1, "one", False), (2, "tw", True)]


def test_of_too_many_streams_the_least_recent_is_dropped() -> None:
    feeder = Feeder(max_streams=3)
    for n in range(5):
        feeder.send(100, b"<n%d" % n, side=(n << 8, 0))
        feeder.send(103, b"x", side=(0, 0))
    assert feeder.streams.anomalies == {"tcp-streams-full": 2}
    assert [(name, cut) for _, name, cut in feeder.found] == [("n1", True), ("n2", True)]


def test_of_too_many_bytes_the_least_recent_stream_is_dropped() -> None:
    feeder = Feeder(max_bytes=100)
    for n in range(3):
        feeder.send(100, b"<" + b"x" * 45, side=(n << 8, 0))
    assert feeder.streams.anomalies == {"tcp-streams-full": 1}
    assert len(feeder.found) == 1


def test_a_stream_that_is_too_long_is_dropped() -> None:
    feeder = Feeder(max_stream_bytes=100)
    for n in range(20):
        feeder.send(100 + 10 * n, b"<" + b"x" * 9 if not n else b"y" * 10)
    assert feeder.streams.anomalies == {"tcp-stream-too-long": 1}
    assert len(feeder.found) == 1


def test_remembered_messages_are_bounded() -> None:
    feeder = Feeder(max_remembered=10)
    for n in range(30):
        feeder.send(100, b"<one>", side=(n << 8, 0))
    feeder.send(100, b"<one>", side=(29 << 8, 0))
    feeder.send(100, b"<one>", side=(0, 0))
    assert len(feeder.names) == 31
    assert feeder.streams.anomalies == {"tcp-retransmission": 1}


def test_a_retransmission_does_not_resume_a_paused_conversation() -> None:
    feeder = Feeder(max_streams=2, max_paused=2)
    feeder.send(0, b"[|", side=(256, 0))
    for n in (2, 3):
        feeder.send(0, b"<", side=(n << 8, 0))
    assert feeder.streams.is_paused((256, 0))
    feeder.send(0, b"[|", side=(256, 0))
    assert feeder.streams.anomalies["tcp-retransmission"] == 1
    assert feeder.streams.usage().entries == 2
    assert feeder.streams.is_paused((256, 0))


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
    feeder = Feeder(
        max_streams=2, max_bytes=60, max_stream_bytes=30, max_remembered=4, max_paused=2
    )
    reassembler = feeder.streams
    for flow, seq, text, truncated, at in pieces:
        feeder.send(seq, text.encode(), side=(flow << 8, 0), truncated=truncated, at=at)
        assert reassembler._bytes == sum(stream.size for stream in reassembler._streams.values())
        for stream in reassembler._streams.values():
            assert stream.size == len(stream.data) + sum(map(len, stream.segments.values()))
            assert sorted(stream.order) == sorted(stream.segments)
        assert reassembler._bytes <= 60
        assert len(reassembler._streams) <= 2
        assert len(reassembler._read_messages._starts) <= 4
        assert len(reassembler._paused) <= 2
        assert all(stream.size == 0 for stream in reassembler._paused.values())
        assert (
            reassembler._parsers._conversations.keys()
            <= reassembler._streams.keys() | reassembler._paused.keys()
        )
        assert len(reassembler._read_messages._last) <= 4
        assert len(reassembler._read_messages._between) <= 4
    feeder.flush()
    assert (reassembler._bytes, reassembler._streams) == (0, {})
