"""Packet time that goes on without packets, and does not step when clocks do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.live.clock import TOLERANCE, Clock

S = 10**9
NOON = 1_700_000_000 * S


def test_nothing_is_known_before_the_first_packet() -> None:
    clock = Clock(live=True)
    assert clock.now(5) is None
    assert clock.steady(5) is None


def test_idle_time_goes_on_by_the_steady_clock() -> None:
    clock = Clock(live=True)
    clock.seen(NOON, 0)
    assert clock.now(90 * S) == NOON + 90 * S
    assert clock.steady(90 * S) == NOON + 90 * S


def test_a_file_is_not_hurried_by_any_clock() -> None:
    clock = Clock(live=False)
    clock.seen(NOON, 0)
    clock.seen(NOON + 86_400 * S, 1)
    clock.seen(NOON + 3 * S, 2)
    assert clock.now(90 * S) == NOON + 86_400 * S
    assert (clock.steps, clock.shift) == (0, 0)


@pytest.mark.parametrize("step", [-400 * 86_400 * S, -3600 * S, 3600 * S, 50 * 365 * 86_400 * S])
def test_a_step_moves_packet_time_and_not_steady_time(step: int) -> None:
    clock = Clock(live=True)
    clock.seen(NOON, 0)
    assert clock.seen(NOON + 60 * S + step, 60 * S)
    assert clock.now(60 * S) == NOON + 60 * S + step
    assert clock.steady(60 * S) == NOON + 60 * S
    assert clock.steps == 1
    assert not clock.seen(NOON + 61 * S + step, 61 * S)
    assert clock.steady(61 * S) == NOON + 61 * S


def test_packets_of_workers_a_little_out_of_order_are_no_step() -> None:
    clock = Clock(live=True)
    clock.seen(NOON + S, 0)
    assert not clock.seen(NOON + S // 2, S // 10)
    assert clock.now(S // 10) == NOON + S + S // 10
    assert clock.steps == 0


@given(st.lists(st.tuples(st.integers(-(10**18), 10**18), st.integers(0, TOLERANCE)), max_size=30))
def test_steady_time_never_runs_faster_or_backward_beyond_tolerance(
    packets: list[tuple[int, int]],
) -> None:
    clock, at = Clock(live=True), 0
    clock.seen(NOON, at)
    for offset, passed in packets:
        before = clock.steady(at)
        at += passed
        clock.seen(NOON + at + offset, at)
        after = clock.steady(at)
        assert before is not None
        assert after is not None
        assert abs(after - before - passed) <= TOLERANCE
