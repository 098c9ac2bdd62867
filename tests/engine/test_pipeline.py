"""The whole pipeline: captures in, names and incidents out, on both sides of every rule."""

import gc
import json
import random
import resource
from collections.abc import Callable
from pathlib import Path

import handshakes
import messages
import pytest
from craft import Conversation, Host, Wire
from support.captures import START, pcap
from support.frames import tcp
from support.observing import observations
from support.office import (
    CONFIG,
    DURING,
    FAR,
    GUEST,
    LAB,
    OURS,
    OUTSIDE,
    PERSONAL,
    RESOLVER,
    SERVICE,
    SERVICE6,
    STRAY,
    TIKTOK,
    capture,
    configured,
    hello,
    lookup,
    one_hello,
    query,
)
from support.paths import PCAPS
from support.recorded_events import replay_all  # noqa: F401

from netwatch import config
from netwatch.capture.files import find_captures
from netwatch.config import Config
from netwatch.core.alert import Alert, Sensor
from netwatch.core.message import Observation
from netwatch.core.statistics import RunStatistics
from netwatch.dissect.dissector import Dissector
from netwatch.engine import pipeline
from netwatch.engine.capture_files import group_files
from netwatch.formats import jsonl
from netwatch.incidents.scan import ScanIncidents

SENSOR = Sensor("test", "0")
Scan = Callable[..., list[Alert]]


@pytest.fixture
def office(tmp_path: Path) -> Config:
    return config.load(configured(tmp_path))


@pytest.fixture
def scan(office: Config, tmp_path: Path) -> Scan:
    """Scans each wire as a separate capture."""

    def _scan(
        *wires: Wire, statistics: RunStatistics | None = None, site: Config = office
    ) -> list[Alert]:
        paths = [capture(tmp_path / f"{n}.pcap", wire) for n, wire in enumerate(wires)]
        return scanned(paths, site, statistics or RunStatistics())

    return _scan


def scanned(paths: list[str], site: Config, statistics: RunStatistics) -> list[Alert]:
    incidents = ScanIncidents(site.quiet_gap)
    for files in group_files(find_captures(paths), continuous=False):
        pipeline.scan(files, site, statistics, incidents)
    return list(incidents.result(site.geo, SENSOR).alerts)


def names(*paths: str, statistics: RunStatistics | None = None) -> list[Observation]:
    captures = group_files(find_captures(paths), continuous=False)
    return [
        each
        for files in captures
        for each in observations(pipeline.names(files, statistics or RunStatistics()))
    ]


BRUSSELS = {
    "2023-03-09T23:59:59.999999+01:00": False,
    "2023-03-10T00:00:00+01:00": True,
    "2023-03-09T23:00:00+00:00": True,
    "2023-03-09T22:59:59.999999+00:00": False,
    # Summer time began on 26 March.
    "2023-09-10T23:59:59.999999+02:00": True,
    "2023-09-11T00:00:00+02:00": False,
    "2023-09-10T21:59:59.999999+00:00": True,
    "2023-09-10T22:00:00+00:00": False,
}


@pytest.mark.parametrize(("moment", "forbidden"), BRUSSELS.items(), ids=BRUSSELS.keys())
def test_first_and_last_moment_of_a_ban(scan: Scan, moment: str, forbidden: bool) -> None:
    whole, _, rest = moment.partition(".")
    fraction, zone = (rest[:6], rest[6:]) if rest else ("0", "")
    wire = one_hello(whole + zone)
    wire.frames = [(time + int(fraction) * 1000, frame) for time, frame in wire.frames]
    statistics = RunStatistics()
    found = scan(wire, statistics=statistics)
    assert [alert.verdict for alert in found] == ["violation"] * forbidden
    assert sum(statistics.without_verdict.values()) == (not forbidden)


@pytest.mark.parametrize(
    ("client", "verdict", "device"),
    [
        (SERVICE, "violation", "10.20.1.7"),
        (SERVICE6, "violation", "2001:db8:20::7"),
        (PERSONAL, "advisory", "10.30.4.8"),
        (STRAY, "violation", "phone-12"),
        (LAB, "exempt", "lab-07"),
        (GUEST, None, ""),
        (OUTSIDE, None, ""),
    ],
    ids=["service", "service6", "personal", "inventory", "exempt", "guest", "outside"],
)
def test_the_verdict_of_a_hello_depends_on_its_client(
    scan: Scan, client: Host, verdict: str | None, device: str
) -> None:
    found = scan(one_hello(DURING, client))
    if verdict is None:
        assert found == []
        return
    (alert,) = found
    assert (alert.verdict, alert.confidence, alert.device.id) == (verdict, "probable", device)
    assert (alert.ban.id, alert.app.id) == ("our-rule", "tiktok")
    assert (alert.exemption is not None) == (verdict == "exempt")


@pytest.mark.parametrize(
    ("moment", "verdict"),
    [("2023-06-30T23:59:59+02:00", "exempt"), ("2023-07-01T00:00:00+02:00", "violation")],
)
def test_an_exemption_ends(scan: Scan, moment: str, verdict: str) -> None:
    (alert,) = scan(one_hello(moment, LAB))
    assert alert.verdict == verdict


def test_a_network_needs_both_the_range_and_the_vlan(scan: Scan) -> None:
    other_vlan = Host(PERSONAL.ip, PERSONAL.mac, (31,))
    assert scan(one_hello(DURING, other_vlan)) == []


def test_lookups_of_a_resolver_are_not_charged_to_it(scan: Scan) -> None:
    wire = Wire(DURING, 1)
    lookup(wire, RESOLVER, FAR)
    statistics = RunStatistics()
    assert scan(wire, statistics=statistics) == []
    assert list(statistics.without_verdict) == ["a resolver (class infrastructure) asks for others"]
    lookup(wire, SERVICE)
    (alert,) = scan(wire)
    assert (alert.device.ip, alert.confidence, alert.counts.lookups) == ("10.20.1.7", "probable", 1)


def test_an_own_server_is_not_the_client_of_inbound_connections(scan: Scan) -> None:
    wire = Wire(DURING, 1)
    hello(wire, OUTSIDE, OURS)
    # Nor is an own name server that answers them.
    lookup(wire, OUTSIDE, OURS)
    assert scan(wire) == []


LOOKALIKES = [
    "nottiktok.com",
    "tiktok.com.example.org",
    "tiktok.com.example",
    "tiktok-my.com",
    "xn--tiktok-abc.example.net",
    "com",
    "tiktok",
    "www.tiktok.comx",
]


@pytest.mark.parametrize("name", LOOKALIKES)
def test_lookalike_names(scan: Scan, name: str) -> None:
    statistics = RunStatistics()
    assert scan(one_hello(DURING, name=name), statistics=statistics) == []
    assert (statistics.observations, statistics.without_verdict) == ({"tls-sni": 1}, {})


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("www.tiktok.com.corp.example", True),
        ("WWW.TikTok.COM", True),
        ("nottiktok.com.corp.example", False),
        ("www.tiktok.com.xcorp.example", False),
        ("www.tiktok.com.corp.example.org", False),
    ],
)
def test_a_search_suffix_is_removed(scan: Scan, name: str, found: bool) -> None:
    assert len(scan(query(DURING, SERVICE, name))) == found


def test_all_kinds_of_clients_in_one_capture(scan: Scan) -> None:
    wire = Wire(DURING, 3)
    for client in (SERVICE, PERSONAL, STRAY, LAB, GUEST):
        lookup(wire, client)
        hello(wire, client, FAR)
    lookup(wire, RESOLVER, FAR)
    hello(wire, OUTSIDE, OURS)
    for name in LOOKALIKES:
        hello(wire, SERVICE, FAR, name)
    statistics = RunStatistics()
    found = scan(wire, statistics=statistics)
    by_device = {alert.device.id: (alert.verdict, alert.counts.lookups) for alert in found}
    assert by_device == {
        "10.20.1.7": ("violation", 1),
        "10.30.4.8": ("advisory", 1),
        "phone-12": ("violation", 1),
        "lab-07": ("exempt", 1),
    }
    assert all(alert.counts.handshakes == alert.counts.flows == 1 for alert in found)
    assert statistics.packets == len(wire.frames)
    assert statistics.wire_bytes == sum(len(frame) for _, frame in wire.frames)
    assert statistics.observations["tls-sni"] == 6 + len(LOOKALIKES)
    assert statistics.files == 1


def test_an_incident_ends_with_the_quiet_gap(scan: Scan) -> None:
    apart = [
        one_hello("2023-04-03T10:00:00+02:00"),
        one_hello("2023-04-03T10:30:00+02:00"),
        one_hello("2023-04-03T11:00:01+02:00"),
    ]
    assert [alert.counts.handshakes for alert in scan(*apart)] == [2, 1]


def test_weaker_evidence_than_the_ban_requires_is_only_recorded(tmp_path: Path) -> None:
    text = CONFIG.replace("severity: high", "severity: high\n    min_confidence: confirmed")
    site = config.load(configured(tmp_path, text))
    path = capture(tmp_path / "q.pcap", query(DURING, SERVICE, TIKTOK))
    incidents = ScanIncidents(site.quiet_gap)
    pipeline.scan(find_captures([path]), site, RunStatistics(), incidents)
    result = incidents.result(site.geo, SENSOR)
    assert list(result.alerts) == []
    assert result.recorded == 1


def test_bytes_are_those_of_the_flows_that_showed_the_name(scan: Scan) -> None:
    wire = Wire(DURING, 5)
    talk = Conversation(wire, SERVICE, FAR, 443)
    message = handshakes.records(handshakes.client_hello(TIKTOK, wire.rng))
    talk.ask(message, "tls-sni", TIKTOK)
    talk.reply(bytes(5000))
    talk.say(b"\x17" * 333)
    talk.close()
    other = Conversation(wire, SERVICE, FAR, 443)
    other.say(b"\x17" * 999)
    (alert,) = scan(wire)
    assert (alert.counts.bytes_out, alert.counts.bytes_in) == (len(message) + 333, 5000)
    assert alert.counts.flows == 1


def test_bytes_of_a_flow_with_several_names_are_counted_once(scan: Scan) -> None:
    wire = Wire(DURING, 5)
    talk = Conversation(wire, SERVICE, FAR, 80)
    requests = [messages.request("GET", f"/{n}", TIKTOK) for n in range(3)]
    for request in requests:
        talk.ask(request, "http-host", TIKTOK)
        talk.reply(messages.response(b"fine"))
    (alert,) = scan(wire)
    assert (alert.counts.handshakes, alert.counts.flows) == (3, 1)
    assert alert.counts.bytes_out == sum(map(len, requests))
    assert alert.counts.bytes_in == 3 * len(messages.response(b"fine"))


def test_a_retransmitted_hello_is_counted_once(scan: Scan, tmp_path: Path) -> None:
    wire = Wire(DURING, 6)
    for large in (False, True):
        message = handshakes.records(handshakes.client_hello(TIKTOK, wire.rng, post_quantum=large))
        talk = Conversation(wire, SERVICE, FAR, 443)
        for _ in range(3):
            talk.say(message)
            talk.ours -= len(message)
    (alert,) = scan(wire)
    assert (alert.counts.handshakes, alert.counts.flows) == (2, 2)
    statistics = RunStatistics()
    assert len(names(capture(tmp_path / "r.pcap", wire), statistics=statistics)) == 2
    assert statistics.observations == {"tls-sni": 2}
    assert statistics.anomalies["tcp-retransmission"] >= 2


def test_dropping_uninteresting_messages_changes_no_count(office: Config, tmp_path: Path) -> None:
    wire = Wire(DURING, 7)
    for number in range(30):
        lookup(wire, SERVICE, name=f"n{number % 3}.example.org")
        hello(wire, SERVICE, FAR, TIKTOK if number % 10 == 0 else f"n{number % 3}.example.org")
    path = capture(tmp_path / "w.pcap", wire)
    everything, filtered = RunStatistics(), RunStatistics()
    assert len(names(path, statistics=everything)) == 90
    pipeline.scan(find_captures([path]), office, filtered, ScanIncidents(office.quiet_gap))
    assert (
        filtered.observations
        == everything.observations
        == {
            "dns-query": 30,
            "dns-answer": 30,
            "tls-sni": 30,
        }
    )
    assert filtered.anomalies == everything.anomalies
    assert filtered.packets == everything.packets


def test_the_order_of_files_changes_no_alert(office: Config, tmp_path: Path) -> None:
    wires = [
        one_hello("2023-04-03T10:00:00+02:00"),
        one_hello("2023-04-03T10:40:00+02:00", seed=2),
        one_hello("2023-04-03T10:20:00+02:00", seed=3),
        one_hello("2023-04-03T10:25:00+02:00", PERSONAL),
    ]
    paths = [capture(tmp_path / f"{n}.pcap", wire) for n, wire in enumerate(wires)]
    outputs = set()
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        alerts = scanned([paths[n] for n in order], office, RunStatistics())
        assert [alert.counts.handshakes for alert in alerts] == [3, 1]
        outputs.add(json.dumps([jsonl.alert_record(alert) for alert in alerts]))
    assert len(outputs) == 1


def test_ids_are_the_same_on_every_replay(scan: Scan) -> None:
    first, second = scan(one_hello(DURING)), scan(one_hello(DURING))
    assert [alert.id for alert in first] == [alert.id for alert in second]
    (later,) = scan(one_hello("2023-05-03T10:00:00+02:00"))
    assert later.id != first[0].id


def test_tables_of_a_scanned_capture_are_freed_at_once(office: Config) -> None:
    path = str(PCAPS / "office-day.pcap")
    gc.collect()
    gc.disable()
    try:
        scanned([path], office, RunStatistics())
        assert [each for each in gc.get_objects() if isinstance(each, Dissector)] == []
    finally:
        gc.enable()


def page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


@pytest.mark.parametrize("command", ["scan", "names"])
def test_a_small_capture_touches_only_the_memory_that_it_uses(
    command: str, office: Config, tmp_path: Path
) -> None:
    path = capture(tmp_path / "one.pcap", one_hello(DURING))

    def read() -> None:
        if command == "scan":
            scanned([path], office, RunStatistics())
        else:
            assert list(pipeline.names(find_captures([path]), RunStatistics()))

    for _ in range(3):
        read()
    before = page_faults()
    for _ in range(20):
        read()
    # Its tables and buffers have 20 MB, which are 5,000 pages.
    assert (page_faults() - before) / 20 < 500


SECOND = 1_000_000_000
WAITING = b"GET / HTTP/1.1\r\nUser-Agent: a"
OTHER_HELLO = handshakes.records(
    handshakes.client_hello("www.example.org", random.Random(1), post_quantum=True)
)


@pytest.mark.parametrize(
    ("segments", "aged"),
    [
        # What has no name of interest ends in the packet loop, or goes to a parser in `names`.
        ([(0, 1, WAITING), (100, 2, OTHER_HELLO)], 1),
        ([(0, 1, WAITING), (100, 2, OTHER_HELLO[:1400]), (101, 2, OTHER_HELLO[1400:])], 1),
        ([(0, 1, WAITING), (60, 2, OTHER_HELLO)], 0),
        ([(0, 1, WAITING), (100, 2, OTHER_HELLO), (110, 1, b"\r\n")], 1),
        ([(0, 1, WAITING), (110, 1, b"\r\n")], 1),
        ([(0, 1, OTHER_HELLO[:1400]), (70, 1, OTHER_HELLO[1400:])], 1),
        ([(0, 1, OTHER_HELLO[:1400]), (65, 2, WAITING), (70, 1, OTHER_HELLO[1400:])], 1),
        ([(0, 1, OTHER_HELLO[:1400]), (3, 1, OTHER_HELLO[1400:])], 0),
        # The last packet, which shows nothing, is the one by which it has timed out.
        ([(0, 1, WAITING), (100, 2, b"\x17\3\3\0\1a")], 1),
    ],
)
def test_scan_and_names_count_the_same_messages_as_timed_out(
    segments: list[tuple[int, int, bytes]], aged: int, office: Config, tmp_path: Path
) -> None:
    sequence = {1: 1000, 2: 1000}
    frames = []
    for at, flow, data in segments:
        frame = tcp(data, seq=sequence[flow], sport=50000 + flow)
        frames.append((START + at * SECOND, frame))
        sequence[flow] += len(data)
    path = tmp_path / "aged.pcap"
    path.write_bytes(pcap(frames, 101))
    counted = {}
    for command in ("scan", "names"):
        statistics = RunStatistics()
        if command == "scan":
            scanned([str(path)], office, statistics)
        else:
            list(pipeline.names(find_captures([str(path)]), statistics))
        counted[command] = statistics.anomalies["tcp-stream-aged"]
    assert counted == {"scan": aged, "names": aged}
