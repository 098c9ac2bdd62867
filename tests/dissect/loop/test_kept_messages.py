"""The ring of messages that were read: what is kept, for how long, and what a segment is compared
with, compiled and interpreted.

The hello buffer: pieces find their places, packets are kept, and all is bounded.
"""

from array import array
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.interpreted import interpreted, interpreted_loop

from netwatch.dissect.loop import layout
from netwatch.dissect.loop.kept_messages import KeptMessages as Compiled

SIDE = 1 << 32
NOTHING, SAME, OTHER = 0, 1, 2


@pytest.fixture(scope="module")
def kept_messages() -> type:
    """The interpreted form, whose methods of the packet loop can be called."""
    return interpreted_loop()["netwatch.dissect.loop.kept_messages"].KeptMessages


def test_both_forms_keep_nothing_at_first(kept_messages: type) -> None:
    for form in (Compiled, kept_messages):
        assert form(8, 64).messages_of(0) == form(8, 64).messages_of(1) == []


@pytest.mark.parametrize(
    ("seq", "segment", "answer"),
    [
        (100, b"abcdef", SAME),
        (100, b"abcdefghij", SAME),
        (102, b"cd", SAME),
        (98, b"..ab", SAME),
        (102, b"cx", OTHER),
        (98, b"..ax", OTHER),
        (95, b"....", NOTHING),
        (106, b"..", NOTHING),
        (SIDE | 102, b"cx", NOTHING),
    ],
)
@pytest.mark.parametrize("wrap", [0, 2**32 - 104])
def test_a_segment_is_compared_where_it_overlaps(
    kept_messages: type, seq: int, segment: bytes, answer: int, wrap: int
) -> None:
    kept = kept_messages(8, 64)

    def place(at: int) -> int:
        return (at & SIDE) | (at + wrap) % 2**32

    number = kept.keep(place(100), 0, b"..abcdef", 2, 6)
    assert kept.compare(number, place(seq), b"?" + segment, 1, len(segment)) == answer


def test_it_is_compared_with_earlier_messages_of_its_flow(kept_messages: type) -> None:
    kept = kept_messages(8, 64)
    first = kept.keep(100, 0, b"first", 0, 5)
    kept.keep(100, 0, b"of another flow", 0, 15)
    last = kept.keep(105, first, b"second", 0, 6)
    assert kept.compare(last, 100, b"first", 0, 5) == SAME
    assert kept.compare(last, 100, b"worst", 0, 5) == OTHER
    assert kept.messages_of(last) == [(0, 100, b"first"), (0, 105, b"second")]


def test_what_is_overwritten_is_not_compared(kept_messages: type) -> None:
    kept = kept_messages(4, 64)
    numbers = [kept.keep(100, 0, bytes([at]) * 20, 0, 20) for at in range(10)]
    held = [number for number in numbers if kept.has(number)]
    assert held == numbers[-3:]
    for number in held:
        assert kept.messages_of(number) == [(0, 100, bytes([number - 1]) * 20)]
    assert kept.compare(numbers[0], 100, bytes(20), 0, 20) == NOTHING
    many = [kept.keep(1, 0, b"x", 0, 1) for _ in range(9)]
    assert [number for number in many if kept.has(number)] == many[-4:]


def test_a_message_that_is_too_long_is_not_kept(kept_messages: type) -> None:
    kept = kept_messages(4, 1 << 17)
    assert kept.keep(1, 0, bytes(65537), 0, 65537) == 0
    assert kept.keep(1, 0, bytes(65536), 0, 65536) == 1
    assert kept.keep(1, 0, bytes(8), 4, 8) == 0


LOOP = interpreted().Loop
HELLOS, PIECES, SPANS, LONGEST, PACKET = 128, 4, 32, 4096, 2048


@pytest.fixture
def buffer() -> Any:
    return new()


def new() -> Any:
    buffer = LOOP(8).hellos.buffer
    buffer.begin(7, 0, 0, 100)
    return buffer


def lying(buffer: Any, entry: int, size: int) -> bytes:
    return bytes(buffer.hellos[LONGEST * entry : LONGEST * entry + size])


@st.composite
def pieces(draw: st.DrawFn) -> tuple[bytes, Sequence[tuple[int, int]]]:
    data = draw(st.binary(min_size=1, max_size=200))
    places = sorted(draw(st.sets(st.integers(1, len(data)), max_size=8)) | {len(data)})
    spans = list(zip([0, *places], places, strict=False))
    return data, draw(st.permutations(spans))


@given(pieces())
def test_a_hello_is_put_together_in_any_order(
    case: tuple[bytes, Sequence[tuple[int, int]]],
) -> None:
    data, spans = case
    buffer = new()
    there: set[int] = set()
    for start, end in spans:
        assert buffer.place(buffer.spare, start, data, start, end - start)
        there.update(range(start, end))
        reach = max(there) + 1
        assert buffer.contiguous(buffer.spare) == (reach if len(there) == reach else 0)
    assert lying(buffer, buffer.spare, len(data)) == data


@given(st.integers(0, 20), st.integers(1, 20), st.integers(0, 20), st.integers(1, 20))
def test_pieces_that_overlap_are_turned_away(a: int, size: int, b: int, other: int) -> None:
    buffer = new()
    assert buffer.place(buffer.spare, a, b"x" * 20, 0, size)
    apart = a + size <= b or b + other <= a
    assert buffer.place(buffer.spare, b, b"y" * 20, 0, other) == apart
    if not apart:
        assert lying(buffer, buffer.spare, 40).count(b"x") == size


def test_what_has_no_place_is_turned_away(buffer: Any) -> None:
    data = bytes(5000)
    for position, size in ((0, 0), (0, -1), (-1, 4), (0, 4097), (4096, 1), (1, 4096)):
        assert not buffer.place(buffer.spare, position, data, 0, size)
    assert not buffer.place(buffer.spare, 0, data, 4990, 11)
    for at in range(SPANS):
        assert buffer.place(buffer.spare, 2 * at, data, 0, 1) == (at < SPANS)
    assert not buffer.place(buffer.spare, 100, data, 0, 1)


def test_so_many_wait_and_can_be_had_again(buffer: Any) -> None:
    assert buffer.is_empty()
    entries = []
    for number in range(HELLOS):
        entries.append(buffer.spare)
        buffer.begin(number + 1, 0, 0, number)
        assert buffer.use_spare()
    assert buffer.used == HELLOS == len(set(entries))
    assert buffer.spare not in entries
    assert not buffer.use_spare()
    assert buffer.oldest() == entries[0]
    buffer.drop(entries[0])
    assert buffer.oldest() == entries[1]
    buffer.release(entries[1])
    assert buffer.used == HELLOS - 2
    # What left is not used again before it was given back.
    buffer.begin(900, 0, 0, 0)
    assert buffer.use_spare()
    buffer.begin(901, 0, 0, 0)
    assert not buffer.use_spare()
    assert buffer.take_released() == [entries[1]]
    assert buffer.take_released() == []
    buffer.free_entries([entries[1]])
    assert buffer.use_spare()
    assert not buffer.is_empty()


def test_a_new_buffer_has_no_oldest(buffer: Any) -> None:
    assert buffer.oldest() == -1


def test_packets_are_kept_as_they_are(buffer: Any) -> None:
    data = bytes(range(256)) * 10
    for number in range(PIECES):
        row = buffer.store_packet(buffer.spare, data, number, PACKET - number)
        assert row == layout.BUFFERED_COLUMNS * (PIECES * buffer.spare + number)
        behind = slice(row + layout.ROW_COLUMNS, row + layout.BUFFERED_COLUMNS)
        buffer.rows[behind] = array("q", [1, PACKET - number, 3, 4, 5, 6, 7])
        words, kept = buffer.packet(row // layout.BUFFERED_COLUMNS)
        assert words == [1, PACKET - number, 3, 4, 5, 6, 7]
        assert kept == data[number:PACKET]
    assert buffer.store_packet(buffer.spare, data, 0, 1) == -1
    buffer.begin(8, 0, 0, 0)
    assert buffer.store_packet(buffer.spare, data, 0, PACKET + 1) == -1
    assert buffer.store_packet(buffer.spare, data, len(data), 1) == -1
    assert buffer.store_packet(buffer.spare, data, 0, 1) >= 0
