"""Rates computed from snapshots that are taken at any times."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.snapshots import NOW, QUIET

from netwatch.watch.snapshot import TREND, History, Rates


def snapshot_at(second: float, packets: int):
    return replace(
        QUIET,
        now=NOW + second,
        packets=packets,
        wire_bytes=packets * 100,
        observations={"tls-sni": packets // 10},
        dropped=packets // 100,
    )


def test_a_constant_rate() -> None:
    history = History()
    for step in range(40):
        rates = history.add(snapshot_at(step / 2, 500 * step))
    assert rates.packets == pytest.approx(1000)
    assert rates.bits == pytest.approx(800_000)
    assert rates.names == pytest.approx(100)
    assert rates.dropped == pytest.approx(10)
    assert rates.trend == pytest.approx([1000] * 19)


def test_one_snapshot_has_no_rate() -> None:
    assert History().add(snapshot_at(0, 5)) == Rates()


def test_snapshots_older_than_the_window_do_not_count() -> None:
    history = History()
    for second, packets in ((0, 0), (1, 10_000), (2, 10_000), (3, 10_000), (4, 10_000)):
        history.add(snapshot_at(second, packets))
    assert history.add(snapshot_at(5, 10_000)).packets == 0


@pytest.mark.parametrize(("second", "packets"), [(-100, 2000), (2, 0)])
def test_the_history_starts_anew_after_a_clock_step_or_another_capture(
    second: float, packets: int
) -> None:
    history = History()
    history.add(snapshot_at(0, 1000))
    history.add(snapshot_at(1, 2000))
    assert history.add(snapshot_at(second, packets)).packets == 0
    assert history.add(snapshot_at(second + 1, packets + 50)).packets == 50


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 10**6)), max_size=200))
def test_no_rate_is_negative(steps: list) -> None:
    history, second, packets = History(), 0.0, 0
    for wait, more in steps:
        second, packets = second + wait, packets + more
        rates = history.add(snapshot_at(second, packets))
        assert min(rates.packets, rates.bits, rates.names, rates.dropped) >= 0
        assert len(rates.trend) <= TREND
        assert all(value >= 0 for value in rates.trend)
