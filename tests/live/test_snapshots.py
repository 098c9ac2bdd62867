"""Snapshots of a running capture, from which metrics, health check and view are made."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from support.alerts import ALERT

from netwatch.core.statistics import RunStatistics
from netwatch.live.events import AlertSent, Note, PacketsDropped, Reloaded, ReloadRefused
from netwatch.live.messages import StatusReport
from netwatch.live.snapshots import Ranking, Snapshots
from netwatch.watch.health import Thresholds, troubles
from netwatch.watch.snapshot import MESSAGES, Backlog, TableUsage


def aggregator(*reports: StatusReport | None) -> Any:
    """As much of an aggregator as a snapshot is taken from."""
    received = [report for report in reports if report is not None]
    total = RunStatistics()
    for report in received:
        total.merge(report.statistics)
    pool = SimpleNamespace(
        reports=list(reports),
        statistics=lambda: total,
        flows=lambda: SimpleNamespace(counts={}),
        dropped=sum(report.dropped for report in received),
        ring_freezes=sum(report.ring_freezes for report in received),
        findings_lost=sum(report.findings_lost for report in received),
    )
    fields = {"in_memory": 4, "rejected_contacts": 3, "ended_count": 5}
    fields |= {"by_verdict": {"violation": 3}, "judged": {("lookup", "blocked"): 2}}
    fields |= {"contradictions": {}, "anomalies": {}}
    return SimpleNamespace(
        pool=pool,
        incidents=type("OpenIncidents", (list,), fields)(),
        receiver=SimpleNamespace(clock=SimpleNamespace(steps=2)),
        state=SimpleNamespace(failures=4),
        alerts=SimpleNamespace(output=SimpleNamespace(buffered=100, discarded=7, problem="")),
        updates=SimpleNamespace(
            config=SimpleNamespace(
                catalog=SimpleNamespace(version="v"),
                geo=SimpleNamespace(note_damaged=lambda _: None),
            ),
            applied=1,
            refused=0,
            last_applied=None,
        ),
    )


def report(**fields: Any) -> StatusReport:
    statistics = fields.pop("statistics", RunStatistics())
    return StatusReport(config_serial=0, packet_time=None, statistics=statistics, **fields)


def test_the_counters_of_workers_are_summed_up() -> None:
    snapshots = Snapshots(("eth1", "eth2"))
    snapshots.take(
        aggregator(
            report(
                statistics=RunStatistics(packets=5),
                ring_freezes=1, findings_lost=2, bytes_queued=10, last_packet=100.0,
                interface_events={"interface-down": 1}, tables={"flows": (1, 10, 2)},
            ),
            report(
                statistics=RunStatistics(packets=6),
                ring_freezes=2, findings_lost=3, bytes_queued=20, last_packet=90.0,
                interface_events={"interface-down": 1, "ring-block-bad": 1},
                tables={"flows": (3, 10, 4)},
            ),
            None,
        )
    )  # fmt: skip
    snapshot = snapshots.last()
    assert (snapshot.packets, snapshot.ring_freezes, snapshot.last_packet) == (11, 3, 100.0)
    assert snapshot.tables["flows"] == TableUsage(4, 20, 6)
    assert snapshot.tables["incidents"].evicted == 3
    assert snapshot.backlogs == {"findings": Backlog(30, 5), "records": Backlog(100, 7)}
    # All workers watch the same interface.
    assert snapshot.interface_events == {"interface-down": 1, "ring-block-bad": 1}
    assert (snapshot.clock_steps, snapshot.state_failures) == (2, 4)
    assert snapshot.judged == {("lookup", "blocked"): 2}


def test_an_interface_that_is_down_is_a_trouble() -> None:
    snapshots = Snapshots(("eth1", "eth2"))
    snapshots.take(aggregator(report(interfaces_down=("eth2",)), report(interfaces_down=("eth2",))))
    wrong = troubles(snapshots.last(), Thresholds())
    assert [(trouble.kind, trouble.where) for trouble in wrong] == [("down", "eth2")]
    snapshots.take(aggregator(report(), report()))
    assert troubles(snapshots.last(), Thresholds()) == []


def test_the_time_of_the_last_drop_is_when_drops_rose() -> None:
    snapshots = Snapshots(("eth1",))
    snapshots.take(aggregator(report()))
    assert snapshots.last().last_drop is None
    snapshots.take(aggregator(report(dropped=3)))
    first = snapshots.last().last_drop
    assert first is not None
    assert troubles(snapshots.last(), Thresholds())[0].kind == "dropping"
    snapshots.take(aggregator(report(dropped=3)))
    assert snapshots.last().last_drop == first


def test_an_incident_is_shown_once_and_its_contacts_count_once() -> None:
    snapshots = Snapshots(("eth1",))
    opened = replace(ALERT, status="open")
    for status in ("open", "update", "closed"):
        snapshots(AlertSent(replace(opened, status=status)))
    snapshots.take(aggregator(report()))
    snapshot = snapshots.last()
    assert [alert.status for alert in snapshot.recent] == ["closed"]
    contacts = sum(item.count for item in ALERT.evidence)
    assert [(app.name, app.contacts, app.incidents) for app in snapshot.apps] == [
        (ALERT.app.name, contacts, 1)
    ]


@pytest.mark.parametrize("many", [1, 5, 50])
def test_a_ranking_is_bounded_and_never_too_low(many: int) -> None:
    ranking = Ranking(limit=4)
    for number in range(many):
        ranking.add(f"name-{number}", 1, 0)
        ranking.add("often", 2, 1)
    (first, *rest) = ranking.top(10)
    assert (first.name, first.contacts >= 2 * many) == ("often", True)
    assert len(rest) <= 3


def test_warnings_and_reloads_become_messages() -> None:
    snapshots = Snapshots(("eth1",))
    snapshots(Note("eth1: interface is down"))
    snapshots(Note("nothing important", warning=False))
    snapshots(PacketsDropped(1, 1))
    snapshots(ReloadRefused("netwatch.yaml:3: wrong\nnetwatch.yaml:4: wrong too"))
    snapshots.take(aggregator(report()))
    snapshot = snapshots.last()
    assert [message.text for message in snapshot.messages] == [
        "eth1: interface is down",
        "reload refused, the previous configuration stays in use",
    ]
    assert snapshot.reload_error == "netwatch.yaml:3: wrong\nnetwatch.yaml:4: wrong too"
    snapshots(Reloaded("p", "s"))
    for number in range(MESSAGES):
        snapshots(Note(f"{number}"))
    snapshots.take(aggregator(report()))
    assert snapshots.last().reload_error == ""
    assert [message.text for message in snapshots.last().messages] == [
        str(number) for number in range(MESSAGES)
    ]


def test_what_cannot_be_written_is_a_trouble() -> None:
    folder = SimpleNamespace(files=0, octets=0, left_out={}, problem="proof/1: File too large")
    snapshots = Snapshots(("eth1",), evidence=folder)
    failing = aggregator(report())
    failing.alerts.output.problem = "out: No space left on device"
    snapshots.take(failing)
    found = troubles(snapshots.last(), Thresholds())
    assert [trouble.message for trouble in found] == [
        "records cannot be written: out: No space left on device",
        "evidence cannot be written: proof/1: File too large",
    ]
    folder.problem = ""
    snapshots.take(aggregator(report()))
    assert troubles(snapshots.last(), Thresholds()) == []


def test_messages_that_wait_are_a_backlog() -> None:
    counters = SimpleNamespace(queued=12, discarded=3)
    snapshots = Snapshots(("eth1",), messages=counters)
    snapshots.take(aggregator(report()))
    assert snapshots.last().backlogs["messages"] == Backlog(12, 3)
