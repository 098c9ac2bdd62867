"""Actions are repeated at their intervals.

Log lines: one line per event, with counts that agree with their nouns.
"""

from dataclasses import replace

import pytest
from support.snapshots import OPEN

from netwatch.live.events import (
    LINES,
    MINUTE,
    AlertSent,
    Event,
    Log,
    Note,
    PacketsDropped,
    Reloaded,
    ReloadRefused,
    Schedule,
    Started,
    Stopped,
    TrafficReport,
    lines,
)


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


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            Started(("eth1", "eth2"), 1, "c0ff", "beef", 0),
            "started on eth1, eth2: policy c0ff, signatures beef",
        ),
        (
            Started(("eth1",), 2, "c0ff", "beef", 1),
            "started on eth1 with 2 workers: policy c0ff, signatures beef,"
            " restored 1 open incident",
        ),
        (PacketsDropped(1, 1200), "dropped 1 packet, 1,200 in total"),
        (PacketsDropped(2, 3), "dropped 2 packets, 3 in total"),
        (Reloaded("c0ff", "beef"), "reloaded: policy c0ff, signatures beef"),
        (
            TrafficReport(60.0, 600, 7_500_000, 1, 1),
            "10 packets/s, 1.0 Mbit/s, 1 dropped, 1 open incident",
        ),
        (Note("eth1: was set down"), "eth1: was set down"),
        (Stopped("SIGTERM"), "stopped: SIGTERM"),
    ],
)
def test_events_in_words(event: Event, text: str) -> None:
    assert lines(event) == [text]


def test_each_mistake_of_a_refused_configuration_has_a_line() -> None:
    first, *mistakes = lines(ReloadRefused("a.yaml:1: one\na.yaml:2: two"))
    assert first == "reload refused, the previous configuration stays in use"
    assert mistakes == ["a.yaml:1: one", "a.yaml:2: two"]


@pytest.mark.parametrize(
    ("status", "word"), [("open", "opened"), ("update", "raised"), ("closed", "closed")]
)
def test_an_alert_begins_with_what_happened(status: str, word: str) -> None:
    (line,) = lines(AlertSent(replace(OPEN, status=status)))
    assert line.startswith(f"{word} {OPEN.verdict} {OPEN.confidence}: ")
    assert line.endswith(f"id {OPEN.id}")


def test_no_alert_names_the_device() -> None:
    """Its address is in the records, which fewer people read."""
    (line,) = lines(AlertSent(OPEN))
    device = OPEN.device
    for text in (device.id, device.ip, device.mac, device.hostname, device.owner):
        assert not text or str(text) not in line


def test_of_many_alerts_few_have_a_line() -> None:
    """The others are counted, and the count is logged once the minute is over, or at the end."""
    written: list[str] = []
    now = 0
    log = Log(written.append, clock=lambda: now)
    for status in ("open", "closed"):
        for _ in range(5_000):
            log(AlertSent(replace(OPEN, status=status)))
    assert len(written) == LINES
    now = MINUTE
    log(TrafficReport(60.0, 600, 7_500_000, 1, 1))
    more = f"{10_000 - LINES:,} more alerts: 5,000 closed, {5_000 - LINES:,} opened"
    assert more in written[LINES]
    log(Stopped("SIGTERM"))
    assert len(written) == LINES + 3


@pytest.mark.parametrize("quiet", [False, True])
def test_quiet_logs_warnings_only(quiet: bool) -> None:
    written: list[str] = []
    log = Log(written.append, quiet, {}, lambda: 0)
    log(Note("for information", warning=False))
    log(Note("a warning"))
    log(PacketsDropped(1, 1))
    log(ReloadRefused("a mistake"))
    log(Stopped("SIGTERM"))
    expected = ["a warning", "dropped 1 packet, 1 in total"]
    expected += ["reload refused, the previous configuration stays in use", "a mistake"]
    if not quiet:
        expected = ["for information", *expected, "stopped: SIGTERM"]
    assert written == [f"1970-01-01T00:00:00Z netwatch: {text}" for text in expected]


def test_journald_adds_its_own_time() -> None:
    written: list[str] = []
    Log(written.append, environ={"JOURNAL_STREAM": "8:1"})(Stopped("SIGTERM"))
    assert written == ["netwatch: stopped: SIGTERM"]
