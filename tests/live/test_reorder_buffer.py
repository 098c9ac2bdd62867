"""Contacts of several workers go on in the order of packet time."""

from hypothesis import given
from hypothesis import strategies as st

from netwatch.live.reorder_buffer import Held


def test_without_a_hold_nothing_waits() -> None:
    held: Held[str] = Held(0)
    held.put(20, "later", 1.0)
    held.put(10, "earlier", 1.0)
    assert list(held.take(1.0)) == ["earlier", "later"]
    assert len(held) == 0


def test_what_came_late_goes_first_where_it_is_earlier() -> None:
    held: Held[str] = Held(0.1)
    held.put(20, "b", 1.0)
    held.put(10, "a", 1.05)
    held.put(30, "c", 1.05)
    assert list(held.take(1.09)) == []
    assert list(held.take(1.11)) == ["a", "b"]
    assert list(held.take(1.11)) == []
    assert list(held.take(1.16)) == ["c"]


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), max_size=40))
def test_all_come_out_once(
    items: list[tuple[int, float]],
) -> None:
    held: Held[int] = Held(0.1)
    out: list[int] = []
    now = 0.0
    for number, (time, passed) in enumerate(items):
        now += passed
        held.put(time, number, now)
        out += held.take(now)
    out += held.take(float("inf"))
    assert sorted(out) == list(range(len(items)))
