"""When a capture is unhealthy: just above each threshold, and not just below. The status that a
running capture keeps in a store.
"""

import json
from dataclasses import replace

import pytest
from support.snapshots import BUSY, NOW, QUIET

from netwatch.watch.health import TROUBLES, Thresholds, status_record, troubles
from netwatch.watch.snapshot import (
    FleetStatus,
    OutboxBacklog,
    OutputQueue,
    PublishedStatus,
    Snapshot,
    StoreStatus,
    UpdateStatus,
)

FIRST = Snapshot(
    now=1000.0, started=900.0, version="1", interfaces=("eth0", "eth1"),
    interfaces_down=("eth1",), packets=100, wire_bytes=1000, observations={"tls-sni": 5},
    last_packet=999.0, outputs={"siem": OutputQueue(3, oldest=990.0)},
)  # fmt: skip
SECOND = Snapshot(
    now=1010.0, started=900.0, version="1", packets=1100, wire_bytes=6000, dropped=20,
    observations={"tls-sni": 10, "dns-query": 25}, last_packet=1009.0, last_drop=1009.0,
)  # fmt: skip


def kinds(snapshot: Snapshot, **limits: float) -> list[tuple[str, str]]:
    found = troubles(snapshot, Thresholds(**limits))
    known = [trouble.kind for trouble in TROUBLES]
    assert all(trouble.kind in known and trouble.message for trouble in found)
    return [(trouble.kind, trouble.where) for trouble in found]


def test_a_busy_and_a_new_capture_are_healthy() -> None:
    assert kinds(BUSY) == kinds(QUIET) == []


@pytest.mark.parametrize(("ago", "found"), [(60, []), (60.5, [("silent", "")])])
def test_silence(ago: float, found: list) -> None:
    assert kinds(replace(BUSY, last_packet=NOW - ago)) == found
    assert kinds(replace(QUIET, started=NOW - ago)) == found


@pytest.mark.parametrize(("ago", "found"), [(59.5, [("dropping", "")]), (60, [])])
def test_dropped_packets(ago: float, found: list) -> None:
    assert kinds(replace(BUSY, last_drop=NOW - ago)) == found


@pytest.mark.parametrize(("ago", "found"), [(59.5, [("losing", "")]), (60, [])])
def test_a_store_that_loses(ago: float, found: list) -> None:
    losing = replace(BUSY, last_loss=NOW - ago, store=StoreStatus(skipped=9_848, lost=1))
    assert kinds(losing) == found
    for trouble in troubles(losing, Thresholds()):
        assert trouble.message.endswith("in total 9,848 packets, 1 row")


@pytest.mark.parametrize(("ago", "found"), [(300, []), (301, [("stuck", "siem")])])
def test_a_stuck_output(ago: float, found: list) -> None:
    assert kinds(replace(BUSY, outputs={"siem": OutputQueue(1, NOW - ago)})) == found


def test_an_interface_that_is_down() -> None:
    assert kinds(replace(BUSY, interfaces_down=("eth2",))) == [("down", "eth2")]


def test_logs_that_cannot_be_read() -> None:
    missing = replace(BUSY, logs_unreadable={"/var/log/dns.log": "there is no such file"})
    assert kinds(missing) == [("unreadable", "/var/log/dns.log")]
    (trouble,) = troubles(missing, Thresholds())
    assert trouble.message == "log /var/log/dns.log cannot be read: there is no such file"


def test_a_configuration_that_was_refused() -> None:
    refused = replace(BUSY, reload_error="netwatch.yaml:3: unknown key 'colour'\nand one more")
    assert kinds(refused) == [("reload", "")]
    (trouble,) = troubles(refused, Thresholds())
    assert trouble.message.endswith("still in use: netwatch.yaml:3: unknown key 'colour'")


@pytest.mark.parametrize(("lag", "found"), [(None, []), (300, []), (301, [("lagging", "")])])
def test_logs_that_are_read_late(lag: float | None, found: list) -> None:
    assert kinds(replace(BUSY, log_lag=lag)) == found


def test_an_outbox_that_cannot_be_written() -> None:
    outbox = OutboxBacklog("the disk is full", waiting=1, lost=2)
    assert kinds(replace(BUSY, outbox=outbox)) == [("outbox", "")]
    (trouble,) = troubles(replace(BUSY, outbox=outbox), Thresholds())
    assert trouble.message == "outbox: the disk is full; 1 alert in memory only, 2 alerts lost"
    assert kinds(replace(BUSY, outbox=replace(outbox, problem=""))) == []


def test_thresholds_can_be_set_and_every_trouble_is_reported() -> None:
    unhealthy = replace(BUSY, interfaces_down=("eth1",), last_packet=NOW - 9, last_drop=NOW - 100)
    found = kinds(unhealthy, silence=8, dropping=101, stuck=10)
    assert found == [("silent", ""), ("dropping", ""), ("stuck", "siem"), ("down", "eth1")]


def test_a_clock_that_was_set_back_is_no_trouble() -> None:
    assert kinds(replace(BUSY, last_packet=NOW + 100, outputs={"a": OutputQueue(1, NOW + 9)})) == []


def test_rates_are_of_the_time_between() -> None:
    assert status_record(FIRST, None, Thresholds())["rates"] is None
    record = status_record(SECOND, FIRST, Thresholds())
    assert record["rates"] == {"packets": 100.0, "bits": 4000.0, "dropped": 2.0, "names": 3.0}
    assert [each["kind"] for each in record["troubles"]] == ["dropping"]


DAY = 86_400.0
CHECKED = UpdateStatus(version=7, expires=NOW + 1, interval=DAY, last_check=NOW, problem="no name")


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (replace(CHECKED, expires=None), []),
        (CHECKED, []),
        (replace(CHECKED, expires=NOW), ["set 7 ", " 0 s"]),
        (replace(CHECKED, expires=NOW - 90), ["set 7 ", " 90 s"]),
        (replace(CHECKED, last_check=NOW - 3 * DAY), []),
        (replace(CHECKED, last_check=NOW - 3 * DAY - 1), ["259201 s", "no name"]),
        (replace(CHECKED, last_check=NOW - 4 * DAY, problem=""), []),
        (replace(CHECKED, held="it waits for a yes"), ["it waits for a yes"]),
    ],
)
def test_a_set_that_is_old_and_checks_that_fail(status: UpdateStatus, says: list[str]) -> None:
    found = troubles(replace(BUSY, updates=status), Thresholds())
    assert [each.kind for each in found] == ["updates"] * bool(says)
    assert all(text in found[0].message for text in says)


def test_checks_count_from_the_start_where_none_succeeded() -> None:
    never = replace(CHECKED, last_check=None)
    assert kinds(replace(BUSY, updates=never, started=NOW - 3 * DAY)) == []
    assert kinds(replace(BUSY, updates=never, started=NOW - 3 * DAY - 1)) == [("updates", "")]


@pytest.mark.parametrize(("lost", "said"), [(0, False), (2, True)])
def test_a_store_that_cannot_be_written_to(lost: int, said: bool) -> None:
    store = StoreStatus(lost=lost, problem="the disk is full")
    assert kinds(replace(BUSY, store=replace(store, problem=""))) == []
    (trouble,) = troubles(replace(BUSY, store=store), Thresholds())
    assert trouble.kind == "store"
    assert "the disk is full" in trouble.message
    assert ("2 rows" in trouble.message, "row" in trouble.message) == (said, said)


@pytest.mark.parametrize(
    ("status", "where", "says"),
    [
        (FleetStatus(evicted=1), "spool", "1 row "),
        (FleetStatus(offset=2.0), None, ""),
        (FleetStatus(offset=-2.0), None, ""),
        (FleetStatus(offset=2.5), "clock", "2.5 s ahead"),
        (FleetStatus(offset=-3_000.0), "clock", "3,000.0 s behind"),
        (FleetStatus(published=PublishedStatus(problems=("a bad set",))), "published", "a bad set"),
        (FleetStatus(since=NOW - 301), None, ""),
        (FleetStatus(problem="refused"), "", "refused"),
        (FleetStatus(problem="no route", since=NOW - 300), None, ""),
        (FleetStatus(problem="no route", since=NOW - 301), "", "301 s"),
    ],
)
def test_a_sensor_and_its_centre(status: FleetStatus, where: str | None, says: str) -> None:
    found = troubles(replace(BUSY, fleet=status), Thresholds())
    assert [(each.kind, each.where) for each in found] == [("fleet", where)] * (where is not None)
    assert all(says in each.message for each in found)


def test_no_time_is_negative() -> None:
    """Not if the clock was set back since."""
    (trouble,) = troubles(replace(BUSY, last_drop=NOW + 5), Thresholds())
    assert " 0 s " in trouble.message


def test_interfaces_and_outputs() -> None:
    record = json.loads(json.dumps(status_record(FIRST, None, Thresholds())))
    assert record["interfaces"] == [{"name": "eth0", "up": True}, {"name": "eth1", "up": False}]
    assert record["outputs"] == [{"name": "siem", "waiting": 3, "oldest": 990.0, "lost": 0}]
    assert "down" in [each["kind"] for each in record["troubles"]]
