"""Findings of several workers are released in the order of packet time."""

from hypothesis import given
from hypothesis import strategies as st

from netwatch.live.reorder_buffer import ReorderBuffer


def test_without_a_delay_items_are_released_immediately() -> None:
    buffer: ReorderBuffer[str] = ReorderBuffer(0)
    buffer.add(20, "later", 1.0)
    buffer.add(10, "earlier", 1.0)
    assert list(buffer.release(1.0)) == ["earlier", "later"]
    assert len(buffer) == 0


def test_an_item_that_arrives_later_with_an_earlier_time_is_released_first() -> None:
    buffer: ReorderBuffer[str] = ReorderBuffer(0.1)
    buffer.add(20, "b", 1.0)
    buffer.add(10, "a", 1.05)
    buffer.add(30, "c", 1.05)
    assert list(buffer.release(1.09)) == []
    assert list(buffer.release(1.11)) == ["a", "b"]
    assert list(buffer.release(1.11)) == []
    assert list(buffer.release(1.16)) == ["c"]


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), max_size=40))
def test_every_item_is_released_once(
    items: list[tuple[int, float]],
) -> None:
    buffer: ReorderBuffer[int] = ReorderBuffer(0.1)
    out: list[int] = []
    now = 0.0
    for number, (time, passed) in enumerate(items):
        now += passed
        buffer.add(time, number, now)
        out += buffer.release(now)
    out += buffer.release(float("inf"))
    assert sorted(out) == list(range(len(items)))
