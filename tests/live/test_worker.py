"""One worker of a live capture."""

from netwatch.live.worker import SECOND, SETTLE_INTERVAL, next_settle


def test_settling_takes_a_small_part_of_the_time() -> None:
    assert next_settle(0, SECOND // 1000) == SETTLE_INTERVAL
    # A table full of flows on a busy machine: packets are read most of the time all the same.
    assert next_settle(100 * SECOND, 102 * SECOND) == 142 * SECOND
