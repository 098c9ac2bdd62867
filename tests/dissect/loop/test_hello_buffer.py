"""The desk: pieces find their places, packets are kept, and all is bounded."""

from array import array
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.interpreted import interpreted

KERNEL = interpreted().Kernel
HELLOS, PIECES, SPANS, LONGEST, PACKET = 128, 4, 32, 4096, 2048


@pytest.fixture
def desk() -> Any:
    return new()


def new() -> Any:
    desk = KERNEL(8).desk
    desk.begin(7, 0, 0, 100)
    return desk


def lying(desk: Any, entry: int, size: int) -> bytes:
    return bytes(desk.hellos[LONGEST * entry : LONGEST * entry + size])


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
    desk = new()
    there: set[int] = set()
    for start, end in spans:
        assert desk.place(desk.spare, start, data, start, end - start)
        there.update(range(start, end))
        reach = max(there) + 1
        assert desk.reaches(desk.spare) == (reach if len(there) == reach else 0)
    assert lying(desk, desk.spare, len(data)) == data


@given(st.integers(0, 20), st.integers(1, 20), st.integers(0, 20), st.integers(1, 20))
def test_pieces_that_overlap_are_turned_away(a: int, size: int, b: int, other: int) -> None:
    desk = new()
    assert desk.place(desk.spare, a, b"x" * 20, 0, size)
    apart = a + size <= b or b + other <= a
    assert desk.place(desk.spare, b, b"y" * 20, 0, other) == apart
    if not apart:
        assert lying(desk, desk.spare, 40).count(b"x") == size


def test_what_has_no_place_is_turned_away(desk: Any) -> None:
    data = bytes(5000)
    for position, size in ((0, 0), (0, -1), (-1, 4), (0, 4097), (4096, 1), (1, 4096)):
        assert not desk.place(desk.spare, position, data, 0, size)
    assert not desk.place(desk.spare, 0, data, 4990, 11)
    for at in range(SPANS):
        assert desk.place(desk.spare, 2 * at, data, 0, 1) == (at < SPANS)
    assert not desk.place(desk.spare, 100, data, 0, 1)


def test_so_many_wait_and_can_be_had_again(desk: Any) -> None:
    assert desk.clear()
    entries = []
    for number in range(HELLOS):
        entries.append(desk.spare)
        desk.begin(number + 1, 0, 0, number)
        assert desk.settle()
    assert desk.used == HELLOS == len(set(entries))
    assert desk.spare not in entries
    assert not desk.settle()
    assert desk.oldest() == entries[0]
    desk.drop(entries[0])
    assert desk.oldest() == entries[1]
    desk.leave(entries[1])
    assert desk.used == HELLOS - 2
    # What left is not used again before it was given back.
    desk.begin(900, 0, 0, 0)
    assert desk.settle()
    desk.begin(901, 0, 0, 0)
    assert not desk.settle()
    assert desk.left() == [entries[1]]
    assert desk.left() == []
    desk.give_back([entries[1]])
    assert desk.settle()
    assert not desk.clear()


def test_a_new_desk_has_no_oldest(desk: Any) -> None:
    assert desk.oldest() == -1


def test_packets_are_kept_as_they_are(desk: Any) -> None:
    data = bytes(range(256)) * 10
    for number in range(PIECES):
        row = desk.keep(desk.spare, data, number, PACKET - number)
        assert row == 24 * (PIECES * desk.spare + number)
        desk.rows[row + 16 : row + 23] = array("q", [1, PACKET - number, 3, 4, 5, 6, 7])
        words, kept = desk.piece(row // 24)
        assert words == [1, PACKET - number, 3, 4, 5, 6, 7]
        assert kept == data[number:PACKET]
    assert desk.keep(desk.spare, data, 0, 1) == -1
    desk.begin(8, 0, 0, 0)
    assert desk.keep(desk.spare, data, 0, PACKET + 1) == -1
    assert desk.keep(desk.spare, data, len(data), 1) == -1
    assert desk.keep(desk.spare, data, 0, 1) >= 0
