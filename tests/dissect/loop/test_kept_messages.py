"""The ring of messages that were read: what is kept, for how long, and what a segment is compared
with, compiled and interpreted."""

import pytest
from support.interpreted import interpreted_loop

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
