"""Logs are judged as captures are: contacts, what they lack, and what packets show as well."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support import fake_log
from support.fake_log import line, unit, write
from support.observing import observations
from support.paths import PCAPS
from support.recorded_events import lines_of, recorded

from netwatch import config
from netwatch.capture.files import find_captures
from netwatch.config import Config
from netwatch.core.alert import Alert
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.engine import jobs
from netwatch.engine.capture_files import LogUnit, group_files
from netwatch.engine.contact_groups import NO_CLIENT
from netwatch.formats import jsonl
from netwatch.incidents.scan import ScanIncidents
from netwatch.logs.registry import LOG_FORMATS

SECOND = 1_000_000_000
NOON = 1_679_313_600 * SECOND  # 2023-03-20
OWN = "api16-normal-c-useast1a.tiktokv.com"  # only the app calls it: confirmed
CLIENT, SERVER, RESOLVER = "0A140105", "CB007107", "0A140035"

SITE = """version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16], class: service, authority: City}
devices: {inventory: devices.csv, learn: [dhcp]}
"""


@pytest.fixture(autouse=True)
def formats(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (fake_log.NAME, fake_log.OTHER):
        monkeypatch.setitem(LOG_FORMATS, name, fake_log.FORMAT)


@pytest.fixture
def site(tmp_path: Path) -> Config:
    (tmp_path / "devices.csv").write_text(
        "id,mac,ip,hostname,owner,class\nlab-1,,10.20.1.9,lab-1.example.org,,\n"
    )
    place = tmp_path / "netwatch.yaml"
    place.write_text(SITE)
    return config.load(str(place))


def name(seconds: float, evidence: str, shown: str = OWN, **more: Any) -> str:
    values = {"time": NOON + int(seconds * SECOND), "time_digits": 6, "evidence": evidence,
              "name": shown, "client_ip": CLIENT, "client_port": 50_000, "server_ip": SERVER,
              "server_port": 443, "transport": "tcp"}  # fmt: skip
    values |= more
    return line("name", **{key: value for key, value in values.items() if value is not None})


def flow(first: float, last: float, key: str, **more: Any) -> str:
    values = {"first": NOON + int(first * SECOND), "last": NOON + int(last * SECOND),
              "transport": "tcp", "client_ip": CLIENT, "client_port": 50_000, "server_ip": SERVER,
              "server_port": 443, "bytes_out": 700, "bytes_in": 9000, "flow": key,
              "client_sent": "payload", "server_sent": "payload"}  # fmt: skip
    return line("flow", **(values | more))


def scan(
    site: Config, *logs: LogUnit, statistics: RunStatistics | None = None, **options: Any
) -> list[Alert]:
    with ScanIncidents(site.quiet_gap) as incidents:
        jobs.scan([], site, statistics or RunStatistics(), incidents, logs=logs, **options)
        return list(incidents.result(None, site.sensor).alerts)


def test_a_lookup_a_handshake_and_its_flow_are_one_incident(site: Config, tmp_path: Path) -> None:
    dns = {"client_port": None, "server_ip": RESOLVER, "server_port": 53, "transport": "udp"}
    answer = {"type": "A", "rcode": "NOERROR", "answers": [["203.0.113.7", 60]]}
    log = write(tmp_path / "a.log", [
        name(0, "dns-query", dns={"type": "A"}, **dns),
        name(0.2, "dns-answer", dns=answer, **dns),
        name(1, "tls-sni", flow="C1", tls={"version": "1.3"}),
        flow(0.9, 5, "C1"),
    ])  # fmt: skip
    (alert,) = scan(site, unit(log))
    counts = alert.counts
    assert (alert.confidence, alert.outcome, alert.first_seen) == ("confirmed", "reached", NOON)
    assert (counts.lookups, counts.handshakes, counts.flows) == (1, 1, 1)
    assert (counts.bytes_out, counts.bytes_in, counts.reached) == (700, 9000, 1)
    assert len(alert.community_ids) == 1  # the log has no port of the lookups
    handshake = jsonl.alert_record(alert)["evidence"][2]
    assert handshake["log"] == {"format": "fake-json", "line": 3, "lacks": []}
    assert "packet" not in handshake
    assert handshake["answer"]["address"] == "203.0.113.7"


def test_what_the_log_does_not_say_is_not_guessed(site: Config, tmp_path: Path) -> None:
    """A device without an address has no verdict; the inventory may know its host name."""
    hosts = {"client_ip": None, "client_host": "LAB-1"}
    log = write(tmp_path / "a.log", [
        name(0, "tls-sni", client_ip=None),
        name(1, "tls-sni", client_ip=None, client_host="nobody-knows"),
        name(2, "tls-sni", **hosts, server_ip=None, server_port=None, lacks=["client", "server"]),
    ])  # fmt: skip
    statistics = RunStatistics()
    (alert,) = scan(site, unit(log), statistics=statistics)
    assert statistics.without_verdict == Counter({NO_CLIENT: 2})
    assert (alert.device.id, alert.device.ip, alert.destinations) == ("lab-1", "10.20.1.9", ())
    assert alert.community_ids == ()
    (shown,) = alert.evidence
    assert shown.log is not None
    assert shown.log.lacks == ("client", "server")
    found = list(observations(jobs.names([], RunStatistics(), logs=[unit(log)])))
    assert [(each.client_ip, each.client_host) for each in found] == [
        (b"", ""), (b"", "nobody-knows"), (b"", "LAB-1")]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "confidence", "outcome", "reason"),
    [
        ({}, "confirmed", "attempted", ""),
        ({"lacks": ["client-port"]}, "confirmed", "attempted", ""),
        ({"lacks": ["year"]}, "probable", "attempted", "the year was assumed"),
        ({"lacks": ["time-zone"]}, "probable", "attempted", "the zone was assumed"),
        ({"lacks": ["device-behind-nat"]}, "probable", "attempted", "after translation"),
        ({"outcome": "reached"}, "confirmed", "reached", ""),
        ({"outcome": "blocked", "blocked_by": "TCP_DENIED"}, "probable", "blocked",
         "The request was denied (TCP_DENIED): it is an attempt"),
    ],
)  # fmt: skip
def test_what_a_log_lacks_and_denies_lowers_the_confidence(
    site: Config, tmp_path: Path, more: Any, confidence: str, outcome: str, reason: str
) -> None:
    log = write(tmp_path / "a.log", [name(0, "http-host", **more)])
    (alert,) = scan(site, unit(log))
    assert (alert.confidence, alert.outcome) == (confidence, outcome)
    assert reason in " ".join(alert.confidence_reasons)
    assert alert.blocked_by == (("TCP_DENIED",) if outcome == "blocked" else ())


def test_a_denied_lookup_is_blocked_whatever_was_answered(site: Config, tmp_path: Path) -> None:
    answer = {"type": "A", "rcode": "NOERROR", "answers": [["10.20.0.7", 2]]}
    denied = name(0, "dns-answer", dns=answer, outcome="blocked", blocked_by="gravity blocked")
    (alert,) = scan(site, unit(write(tmp_path / "a.log", [denied])))
    assert (alert.outcome, alert.confidence) == ("blocked", "probable")
    assert alert.blocked_by == ("gravity blocked",)


def test_leases_in_a_log_tell_devices(site: Config, tmp_path: Path) -> None:
    lease = line("claim", time=NOON - SECOND, client_ip=CLIENT, client_mac="020000000105",
                 hostname="laptop")  # fmt: skip
    (alert,) = scan(site, unit(write(tmp_path / "a.log", [lease, name(0, "tls-sni")])))
    assert (alert.device.mac, alert.device.hostname) == ("02:00:00:00:01:05", "laptop")


def test_flows_are_counted_with_what_their_names_told(site: Config, tmp_path: Path) -> None:
    log = write(tmp_path / "a.log", [
        name(0, "tls-sni", "www.example.org", flow="C1"),
        flow(0, 2, "C1"),
        flow(0, 3, "C2"),
        flow(0, 3, "C3", server_port=53),
    ])  # fmt: skip
    coverage, statistics = Coverage(), RunStatistics()
    assert scan(site, unit(log), coverage=coverage) == []
    assert coverage.total().flows == 0  # not asked for: names of no interest were not read
    scan(site, unit(log, counts_flows=True), coverage=coverage, statistics=statistics)
    assert coverage.total().counts == {"named": 1, "no-hello": 1}
    alone = write(tmp_path / "b.log", [name(0, "tls-sni", "www.example.org")])
    scan(site, unit(alone, counts_flows=True), coverage=coverage, statistics=statistics)
    (note,) = [note for note in statistics.notes if "flows" in note]
    assert note.startswith(f"{alone}: this log has no flows")


def test_a_flow_without_a_name_may_be_an_apps(site: Config, tmp_path: Path) -> None:
    """By its address, unless another record shows its name."""
    answer = name(0, "dns-answer", dns={"type": "A", "rcode": "NOERROR",
                                        "answers": [["203.0.113.7", 60]]})  # fmt: skip
    unnamed = write(tmp_path / "a.log", [answer, flow(1, 2, "C1", client_port=50_001)])
    (alert,) = scan(site, unit(unnamed))
    assert [each.type for each in alert.evidence] == ["dns-answer", "ip-from-dns"]
    other = name(1.1, "tls-sni", "www.example.org", flow="C1")
    named = write(tmp_path / "b.log", [answer, other, flow(1, 2, "C1", client_port=50_001)])
    (alert,) = scan(site, unit(named))
    assert [each.type for each in alert.evidence] == ["dns-answer"]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """The sample captures, and for each of three a log of the same traffic."""
    folder = tmp_path_factory.mktemp("logs")
    logs = []
    for capture, digits in (("office-day", 9), ("five-kinds", 6), ("http-host", 0)):
        events = recorded(find_captures([str(PCAPS / f"{capture}.pcap")]))
        logs.append(write(folder / f"{capture}.log", list(fake_log.lines_of(events, digits))))
    return PCAPS, logs


def judged(captures: Any, logs: Any, workers: int = 1) -> list[Alert]:
    site = config.load(str(PCAPS / "netwatch.yaml"))
    with ScanIncidents(site.quiet_gap) as incidents:
        jobs.scan(captures, site, RunStatistics(), incidents, logs=logs, workers=workers)
        return list(incidents.result(None, site.sensor).alerts)


def facts(alert: Alert) -> tuple[Any, ...]:
    return alert.id, alert.confidence, alert.outcome, alert.kind.value, alert.counts, alert.names


def test_what_packets_and_a_log_show_is_one_incident(samples: tuple[Path, list[Path]]) -> None:
    folder, logs = samples
    names = [str(folder / f"{log.stem}.pcap") for log in logs]
    captures = list(group_files(find_captures(names), continuous=False))
    alone, both = judged(captures, []), judged(captures, list(map(unit, logs)))
    assert len(alone) >= 8
    assert list(map(facts, both)) == list(map(facts, alone))
    for before, after in zip(alone, both, strict=True):
        of_log = [each for each in after.evidence if each.log is not None]
        assert len(after.evidence) == len(before.evidence) + len(of_log)
        assert {each.name for each in of_log} <= {each.name for each in before.evidence}
    assert any(each.log for alert in both for each in alert.evidence)
    other = [unit(log, name=fake_log.OTHER) for log in logs]
    assert list(map(facts, judged(captures, [*map(unit, logs), *other]))) == list(map(facts, alone))


def test_neither_the_order_nor_the_workers_matter(samples: tuple[Path, list[Path]]) -> None:
    folder, logs = samples
    names = [str(folder / f"{log.stem}.pcap") for log in logs]
    captures = list(group_files(find_captures(names), continuous=False))
    units = list(map(unit, logs))
    expected = lines_of(judged(captures, units))
    assert expected.count('"log":') >= 10
    shuffled = random.Random(7)
    for workers in (2, 9):
        mixed = shuffled.sample(captures, len(captures)), shuffled.sample(units, len(units))
        assert lines_of(judged(*mixed, workers=workers)) == expected
    # Each log comes before and after each other one.
    assert lines_of(judged(captures, units[::-1])) == expected
