"""Metrics as Prometheus parses them: names, units, values, and a bounded number of series."""

import re
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from support.alerts import ALERT
from support.snapshots import BUSY, NOW, QUIET

from netwatch.watch.endpoint import Metrics
from netwatch.watch.health import Thresholds
from netwatch.watch.metric_kinds import MAX_SERIES, OTHER
from netwatch.watch.metrics import METRICS
from netwatch.watch.snapshot import ContactCount, Snapshot

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def exposed(snapshot: Snapshot) -> str:
    registry = CollectorRegistry()
    registry.register(Metrics(lambda: snapshot, Thresholds()))
    return generate_latest(registry).decode()


def series(snapshot: Snapshot) -> Series:
    families = text_string_to_metric_families(exposed(snapshot))
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("packets_total", {}, 123_456_789),
        ("packet_bytes_total", {}, 10**12),
        ("packets_dropped_total", {}, 12),
        ("ring_freezes_total", {}, 1),
        ("candidates_total", {}, 4_000),
        ("start_time_seconds", {}, NOW - 273_912),
        ("last_packet_timestamp_seconds", {}, NOW - 0.2),
        ("last_reload_timestamp_seconds", {}, NOW - 60),
        ("reloads_total", {"outcome": "applied"}, 3),
        ("reloads_total", {"outcome": "refused"}, 1),
        ("interface_up", {"interface": "eth2"}, 1),
        ("observations_total", {"evidence": "tls-sni"}, 3000),
        ("anomalies_total", {"anomaly": "tcp-retransmission"}, 1200),
        ("oddities_total", {"oddity": "tcp-retransmission"}, 1200),
        ("flows_total", {"reading": "encrypted-dns"}, 402),
        ("incidents_total", {"verdict": "violation"}, 9),
        ("incidents_closed_total", {"kind": "session", "outcome": "reached"}, 4),
        ("incidents_closed_total", {"kind": "lookup", "outcome": "blocked"}, 6),
        ("incidents_closed_total", {"kind": "embed", "outcome": "unknown"}, 0),
        ("incidents_open", {"verdict": "violation"}, 1),
        ("interface_events_total", {"event": "interface-down"}, 2),
        ("log_records_total", {}, 70_000),
        ("log_records_unread_total", {"reason": "time-invalid"}, 3),
        ("log_events_total", {"event": "log-rotated"}, 5),
        ("log_lag_seconds", {}, 1.5),
        ("clock_steps_total", {}, 1),
        ("state_failures_total", {}, 4),
        ("set_version", {}, 12),
        ("set_expiry_timestamp_seconds", {}, NOW + 86_400),
        ("update_last_success_timestamp_seconds", {}, NOW - 600),
        ("update_failures_total", {}, 2),
        ("backlog_bytes", {"queue": "findings"}, 512),
        ("backlog_left_out_total", {"queue": "findings"}, 3),
        ("table_entries", {"table": "flows"}, 4000),
        ("table_entries_limit", {"table": "flows"}, 65536),
        ("table_evictions_total", {"table": "flows"}, 7),
        ("output_waiting", {"output": "siem"}, 5),
        ("output_oldest_seconds", {"output": "siem"}, 20),
        ("output_oldest_seconds", {"output": "mail"}, 0),
        ("output_delivered_total", {"output": "siem"}, 100),
        ("output_failures_total", {"output": "siem"}, 2),
        ("output_lost_total", {"output": "siem"}, 1),
        ("evidence_files_total", {}, 11),
        ("evidence_bytes_total", {}, 40_000),
        ("evidence_left_out_total", {"reason": "evidence-age"}, 2),
        ("troubles", {"trouble": "silent"}, 0),
    ],
)
def test_value(name: str, labels: dict[str, str], value: float) -> None:
    assert series(BUSY)[f"netwatch_{name}", tuple(sorted(labels.items()))] == value


def test_build() -> None:
    ((_, labels),) = [key for key in series(BUSY) if key[0] == "netwatch_build_info"]
    expected = {"version": "0.1.0", "signatures": "2024-11-02", "compiled": "true"}
    assert set(labels) > set(expected.items())


def test_kinds_and_outcomes_have_all_their_series_from_the_start() -> None:
    found = [labels for name, labels in series(QUIET) if name == "netwatch_incidents_closed_total"]
    assert len(found) == 4 * 4


def test_troubles_are_counted_by_kind() -> None:
    found = series(replace(BUSY, interfaces_down=("eth1", "eth2")))
    assert found["netwatch_troubles", (("trouble", "down"),)] == 2
    assert found["netwatch_interface_up", (("interface", "eth1"),)] == 0


def test_names_follow_the_conventions_of_prometheus() -> None:
    families = list(text_string_to_metric_families(exposed(BUSY)))
    assert len({family.name for family in families}) == len(families) > 25
    for family in families:
        assert re.fullmatch(r"netwatch_[a-z]+(_[a-z]+)*", family.name)
        assert family.documentation.endswith(".")
        is_total = all(sample.name.endswith("_total") for sample in family.samples)
        assert is_total == (family.type == "counter") or not family.samples


def test_times_of_what_never_happened_are_left_out() -> None:
    names = {name for name, _ in series(QUIET)}
    assert "netwatch_last_packet_timestamp_seconds" not in names
    assert "netwatch_last_reload_timestamp_seconds" not in names


def test_series_are_bounded_and_no_counter_falls() -> None:
    def total(count: int) -> Series:
        anomalies = {f"odd-{number:05}": 2 for number in range(count)}
        found = series(replace(QUIET, anomalies=anomalies))
        return {key: value for key, value in found.items() if key[0] == "netwatch_anomalies_total"}

    assert len(total(MAX_SERIES)) == MAX_SERIES
    many, more = total(MAX_SERIES + 10), total(MAX_SERIES + 20)
    assert len(many) == len(more) == MAX_SERIES
    other = "netwatch_anomalies_total", (("anomaly", OTHER),)
    assert (many[other], more[other]) == (22, 42)
    assert all(more[key] >= value for key, value in many.items())


def test_the_table_describes_every_metric() -> None:
    exposed_families = {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            family.documentation,
            {label for sample in family.samples for label in sample.labels},
        )
        for family in Metrics(lambda: BUSY, Thresholds()).collect()
    }
    described = {metric.name: (metric.type, metric.help, set(metric.labels)) for metric in METRICS}
    assert exposed_families == described
    assert len(described) == len(METRICS)


def test_no_label_contains_text_from_packets() -> None:
    snapshot = replace(
        QUIET,
        apps=(ContactCount("HOSTILE", 1, 1),),
        devices=(ContactCount("HOSTILE", 1, 1),),
        recent=(replace(ALERT, names=("HOSTILE",)),),
    )
    assert "HOSTILE" not in exposed(snapshot)
