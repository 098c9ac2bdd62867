"""Actions are repeated at their intervals."""

from netwatch.live.events import Schedule


def test_an_action_runs_once_per_interval() -> None:
    schedule, calls = Schedule(), list[str]()
    schedule.every(1.0, lambda: calls.append("fast"), now=10.0)
    schedule.every(2.0, lambda: calls.append("slow"), now=10.0)
    schedule.run_due(10.9)
    assert calls == []
    schedule.run_due(11.0)
    assert calls == ["fast"]
    schedule.run_due(12.5)
    assert calls == ["fast", "fast", "slow"]


def test_a_late_action_is_not_made_up_for() -> None:
    schedule, calls = Schedule(), list[str]()
    schedule.every(1.0, lambda: calls.append("fast"), now=0.0)
    schedule.run_due(5.0)
    schedule.run_due(5.5)
    assert calls == ["fast"]
    schedule.run_due(6.0)
    assert calls == ["fast", "fast"]
