"""Packet time advances without packets; continuous time has no steps when clocks are set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.live.packet_clock import STEP_TOLERANCE, PacketClock

S = 10**9
NOON = 1_700_000_000 * S


def test_there_is_no_packet_time_before_the_first_packet() -> None:
    clock = PacketClock(live=True)
    assert clock.now(5) is None
    assert clock.continuous(5) is None


def test_packet_time_advances_with_the_monotonic_clock() -> None:
    clock = PacketClock(live=True)
    clock.update(NOON, 0)
    assert clock.now(90 * S) == NOON + 90 * S
    assert clock.continuous(90 * S) == NOON + 90 * S


def test_in_a_file_packet_time_advances_by_packets_alone() -> None:
    clock = PacketClock(live=False)
    clock.update(NOON, 0)
    clock.update(NOON + 86_400 * S, 1)
    clock.update(NOON + 3 * S, 2)
    assert clock.now(90 * S) == NOON + 86_400 * S
    assert (clock.steps, clock.offset) == (0, 0)


@pytest.mark.parametrize("step", [-400 * 86_400 * S, -3600 * S, 3600 * S, 50 * 365 * 86_400 * S])
def test_a_step_changes_packet_time_but_not_continuous_time(step: int) -> None:
    clock = PacketClock(live=True)
    clock.update(NOON, 0)
    assert clock.update(NOON + 60 * S + step, 60 * S)
    assert clock.now(60 * S) == NOON + 60 * S + step
    assert clock.continuous(60 * S) == NOON + 60 * S
    assert clock.steps == 1
    assert not clock.update(NOON + 61 * S + step, 61 * S)
    assert clock.continuous(61 * S) == NOON + 61 * S


def test_packets_slightly_out_of_order_are_no_step() -> None:
    clock = PacketClock(live=True)
    clock.update(NOON + S, 0)
    assert not clock.update(NOON + S // 2, S // 10)
    assert clock.now(S // 10) == NOON + S + S // 10
    assert clock.steps == 0


@given(
    st.lists(st.tuples(st.integers(-(10**18), 10**18), st.integers(0, STEP_TOLERANCE)), max_size=30)
)
def test_continuous_time_follows_the_monotonic_clock_within_the_tolerance(
    packets: list[tuple[int, int]],
) -> None:
    clock, at = PacketClock(live=True), 0
    clock.update(NOON, at)
    for offset, passed in packets:
        before = clock.continuous(at)
        at += passed
        clock.update(NOON + at + offset, at)
        after = clock.continuous(at)
        assert before is not None
        assert after is not None
        assert abs(after - before - passed) <= STEP_TOLERANCE
