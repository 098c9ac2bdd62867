"""Packet time advances without packets; continuous time has no steps when clocks are set."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.live.packet_clock import PacketClock, wall_offset

S = 10**9
NOON = 1_700_000_000 * S


class Wall:
    """A wall clock that shows noon when the monotonic clock is 0, until it is set."""

    def __init__(self) -> None:
        self.offset = NOON

    def __call__(self) -> int:
        return self.offset


def live_clock() -> PacketClock:
    return PacketClock(True, Wall())


def test_there_is_no_packet_time_before_the_first_packet() -> None:
    clock = live_clock()
    assert clock.now(5) is None
    assert clock.continuous(5) is None


def test_packet_time_advances_with_the_monotonic_clock() -> None:
    clock = live_clock()
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
    wall = Wall()
    clock = PacketClock(True, wall)
    clock.update(NOON, 0)
    wall.offset += step
    assert clock.update(NOON + 60 * S + step, 60 * S)
    assert clock.now(60 * S) == NOON + 60 * S + step
    assert clock.continuous(60 * S) == NOON + 60 * S
    assert clock.steps == 1
    assert not clock.update(NOON + 61 * S + step, 61 * S)
    assert clock.continuous(61 * S) == NOON + 61 * S


def test_packets_slightly_out_of_order_are_no_step() -> None:
    clock = live_clock()
    clock.update(NOON + S, 0)
    assert not clock.update(NOON + S // 2, S // 10)
    assert clock.now(S // 10) == NOON + S + S // 10
    assert clock.steps == 0


def test_a_process_that_lags_sees_no_step() -> None:
    """The packets of a minute wait while the process gets no CPU, and are then read in a burst."""
    clock = live_clock()
    clock.update(NOON, 0)
    for number in range(60):
        assert not clock.update(NOON + number * S, 60 * S + number)
    assert not clock.update(NOON + 61 * S, 61 * S)
    assert (clock.steps, clock.offset) == (0, 0)
    assert clock.now(70 * S) == NOON + 70 * S


def test_workers_that_lag_by_different_times_show_no_step() -> None:
    clock = live_clock()
    clock.update(NOON, 0)
    for second in range(1, 100):
        assert not clock.update(NOON + second * S, second * S)
        assert not clock.update(NOON + max(0, second - 30) * S, second * S)
    assert (clock.steps, clock.offset) == (0, 0)
    assert clock.now(99 * S) == NOON + 99 * S


def test_the_first_packet_may_be_late() -> None:
    clock = live_clock()
    clock.update(NOON, 40 * S)
    assert not clock.update(NOON + 41 * S, 41 * S)
    assert clock.steps == 0


@pytest.mark.parametrize("step", [-3600 * S, 3600 * S])
def test_packets_from_before_a_step_may_come_after_it(step: int) -> None:
    wall = Wall()
    clock = PacketClock(True, wall)
    clock.update(NOON, 0)
    wall.offset += step
    assert clock.update(NOON + step + 10 * S, 10 * S)
    # Another worker lags, and delivers packets that were stamped before.
    assert not clock.update(NOON + 5 * S, 11 * S)
    assert clock.now(11 * S) == NOON + step + 11 * S
    # Then the clock is set right again.
    wall.offset -= step
    assert clock.update(NOON + 20 * S, 20 * S)
    assert (clock.steps, clock.offset) == (2, 0)


def test_a_step_is_found_while_the_process_lags() -> None:
    wall = Wall()
    clock = PacketClock(True, wall)
    clock.update(NOON, 0)
    wall.offset += 3600 * S
    assert not clock.update(NOON + S, 30 * S)
    assert clock.update(NOON + 3602 * S, 31 * S)
    assert clock.offset == -3600 * S
    assert not clock.update(NOON + 3632 * S, 32 * S)
    assert clock.steps == 1


def test_small_corrections_of_the_clock_add_up_to_no_step() -> None:
    wall = Wall()
    clock = PacketClock(True, wall)
    clock.update(NOON, 0)
    for number in range(1, 20):
        wall.offset += 3 * S
        assert not clock.update(NOON + number * 4 * S, number * S)
    assert clock.steps == 0


@st.composite
def readings(draw: st.DrawFn) -> list[tuple[int, int]]:
    """When packets were captured and read, in ns, by several workers that lag in their own way.
    Each worker reads its packets in order; the last packet has no lag."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        captured = read = 0
        for wait, lag in draw(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60)))):
            captured += wait * S
            read = max(read, captured + lag * S)
            found.append((read, captured))
    end = max((read for read, _ in found), default=0) + 61 * S
    return [*sorted(found), (end, end)]


@given(readings())
def test_lag_alone_is_never_a_step(read: list[tuple[int, int]]) -> None:
    clock = live_clock()
    for at, captured in read:
        clock.update(NOON + captured, at)
    at, captured = read[-1]
    assert (clock.steps, clock.offset) == (0, 0)
    assert clock.now(at) == NOON + captured


@given(
    readings(),
    st.integers(0, 300),
    st.one_of(st.integers(-10_000, -130), st.integers(130, 10_000)),
)
def test_a_step_is_found_once_whatever_the_lag(
    read: list[tuple[int, int]], moment: int, seconds: int
) -> None:
    """The step is longer than any lag, so that the two differ in each packet."""
    wall, step = Wall(), seconds * S
    clock = PacketClock(True, wall)
    clock.update(NOON, 0)
    end = max(read[-1][0], moment * S + S)
    for at, captured in [*read[:-1], (end, end)]:
        wall.offset = NOON + (step if at >= moment * S else 0)
        clock.update(NOON + captured + (step if captured >= moment * S else 0), at)
    assert (clock.steps, clock.offset) == (1, -step)
    assert clock.continuous(end) == NOON + end


def test_the_difference_of_the_clocks_is_constant() -> None:
    assert abs(wall_offset() - wall_offset()) < S
    assert abs(wall_offset() - (time.time_ns() - time.monotonic_ns())) < S
