"""Captures of known content: every flow is counted once, with the visibility it was made for."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import handshakes
import pytest
from craft import Conversation, Host, Wire
from support.captures import pcap
from support.office import (
    CONFIG,
    DURING,
    FAR,
    GATEWAY,
    GUEST,
    OURS,
    OUTSIDE,
    PERSONAL,
    RESOLVER,
    SERVICE,
    capture,
    configured,
    hello,
    lookup,
)

from netwatch import config
from netwatch.capture.files import find_captures
from netwatch.cli import main
from netwatch.config import Config
from netwatch.core.alert import Sensor
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage, CoverageReport
from netwatch.engine import jobs
from netwatch.incidents.scan import ScanIncidents, ScanResult

SENSOR = Sensor("test", "0")
GOOGLE = Host("8.8.8.8", GATEWAY)
ALERTING = CONFIG.replace("severity: high", "severity: high\n    bypass: alert")

GREASE, PLAIN = 0x4A4A, 0x1301
"""Cipher suites: a reserved value (RFC 8701), as Chromium sends it, and one of TLS 1.3."""

Make = Callable[[Wire, Host], None]


def ech(wire: Wire, name: str = "cloudflare-ech.com", size: int = 128, first: int = 0) -> bytes:
    """A ClientHello with the ECH extension, whose payload has this size, by default with the
    public name of a provider; `first` is its first cipher suite."""
    body = b"\0\0\1\0\1\7\0\x20" + bytes(32) + size.to_bytes(2) + bytes(size)
    plain = handshakes.client_hello(name, wire.rng)
    head = 4 + 2 + 32
    at = head + 1 + plain[head]
    if first:
        plain = plain[: at + 2] + first.to_bytes(2) + plain[at + 4 :]
    at += 2 + int.from_bytes(plain[at : at + 2])
    at += 1 + plain[at]
    block = plain[at + 2 :] + b"\xfe\x0d" + len(body).to_bytes(2) + body
    message = plain[4:at] + len(block).to_bytes(2) + block
    return handshakes.records(b"\1" + len(message).to_bytes(3) + message)


def exchange(client: Host, wire: Wire, data: bytes, port: int = 443, server: Host = FAR) -> None:
    talk = Conversation(wire, client, server, port)
    talk.say(data)
    talk.reply(b"\x17\x03\x03\0\x40" + bytes(64))


def no_sni(wire: Wire) -> bytes:
    return handshakes.records(handshakes.client_hello(None, wire.rng))


def partial_hello(wire: Wire) -> bytes:
    """A hello that ends before its extensions."""
    return handshakes.records(handshakes.client_hello("www.example.org", wire.rng))[:80]


def partial_dtls_hello(wire: Wire, client: Host) -> None:
    """The first fragment of a hello, and the alert of the server."""
    piece = b"\1\0\1\x2c\0\0\0\0\0\0\0\x30" + b"\xfe\xfd" + bytes(46)
    sport = wire.port()
    record = b"\x16\xfe\xff" + bytes(8) + len(piece).to_bytes(2) + piece
    wire.udp(client, sport, FAR, 4433, record)
    wire.udp(FAR, 4433, client, sport, b"\x15\xfe\xff" + bytes(8) + b"\0\2\2\x28")


def datagrams(client: Host, wire: Wire, port: int, server: Host = FAR) -> None:
    sport = wire.port()
    wire.udp(client, sport, server, port, b"\4" + bytes(63))
    wire.udp(server, port, client, sport, b"\4" + bytes(95))


def midflow(wire: Wire, client: Host) -> None:
    talk = Conversation(wire, client, FAR, 8080)
    del wire.frames[-3:]
    talk.say(bytes(500))
    talk.reply(bytes(900))


def one_way(wire: Wire, client: Host) -> None:
    talk = Conversation(wire, client, FAR, 443)
    del wire.frames[-3], wire.frames[-1]
    talk._back("PA", b"\x17\x03\x03\0\x40" + bytes(64))


MADE: dict[str, list[Make]] = {
    "named": [
        lambda wire, client: hello(wire, client, FAR, "www.example.org"),
        lambda wire, client: hello(wire, client, FAR, "www.example.net"),
        lambda wire, client: wire.quic(client, FAR, "www.example.org", version=1),
        lambda wire, client: exchange(
            client, wire, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 80
        ),
        lambda wire, client: hello(wire, client, FAR, "mask-canary.icloud.com"),
        # GREASE ECH of Chromium, and what may be that of Firefox
        lambda wire, client: exchange(client, wire, ech(wire, "www.example.org", 176, GREASE)),
        lambda wire, client: exchange(client, wire, ech(wire, "www.example.org", 239, PLAIN)),
    ],
    "ech": [
        lambda wire, client: exchange(client, wire, ech(wire)),
        # Chromium sends no GREASE ECH of this size
        lambda wire, client: exchange(client, wire, ech(wire, "www.example.org", 304, GREASE)),
    ],
    "no-sni": [lambda wire, client: exchange(client, wire, no_sni(wire))],
    "encrypted-dns": [
        lambda wire, client: hello(wire, client, GOOGLE, "dns.google"),
        lambda wire, client: hello(wire, client, FAR, "one.one.one.one"),
        lambda wire, client: exchange(client, wire, no_sni(wire), 443, GOOGLE),
        lambda wire, client: exchange(client, wire, no_sni(wire), 853),
        lambda wire, client: datagrams(client, wire, 853),
    ],
    "vpn": [
        lambda wire, client: hello(wire, client, FAR, "api.nordvpn.com"),
        lambda wire, client: datagrams(client, wire, 51820),
        lambda wire, client: datagrams(client, wire, 4500),
    ],
    "relay": [lambda wire, client: wire.quic(client, FAR, "mask.icloud.com", version=1)],
    "tor": [lambda wire, client: hello(wire, client, FAR, "bridges.torproject.org")],
    "hello-incomplete": [
        lambda wire, client: exchange(client, wire, partial_hello(wire)),
        partial_dtls_hello,
    ],
    "one-direction": [one_way],
    "begun-before-capture": [midflow],
    "no-data": [lambda wire, client: Conversation(wire, client, FAR, 443).close()],
    "no-hello": [
        lambda wire, client: exchange(client, wire, b"SSH-2.0-example\r\n", 22),
        lambda wire, client: datagrams(client, wire, 5060),
        lambda wire, client: exchange(client, wire, b"hello", 8080, GOOGLE),
    ],
}
"""Flows by the visibility that they are made for, without `truncated`: that takes a snap length."""


@pytest.fixture
def office(tmp_path: Path) -> Config:
    return config.load(configured(tmp_path))


def mixed(path: Path, seed: int, clients: dict[Host, int], snap: int = 1 << 18) -> Counter[str]:
    """Write a capture with all of `MADE`, repeated as `clients` says; the number of flows by
    visibility.

    Names are looked up in between, so that some addresses are known as uninteresting.
    """
    wire, made = Wire(DURING, seed), Counter[str]()
    for client, times in clients.items():
        for name in ("www.example.org", "dns.google", "cloudflare-ech.com", "www.example.org"):
            lookup(wire, client, name=name)
        for _ in range(times):
            for visibility, makers in MADE.items():
                for make in makers:
                    make(wire, client)
                    made[visibility] += 1
    path.write_bytes(pcap(sorted(wire.frames, key=lambda item: item[0]), snap=snap))
    return made


def scanned(
    folder: Path, site: Config, workers: int = 1, *, by_device: bool = True
) -> tuple[CoverageReport, ScanResult, RunStatistics]:
    coverage, statistics = Coverage(by_device=by_device), RunStatistics()
    files = [(found,) for found in find_captures([str(folder)])]
    incidents = ScanIncidents(site.quiet_gap)
    jobs.scan(files, site, statistics, incidents, workers=workers, coverage=coverage)
    report = coverage.report(statistics.packets, statistics.anomalies)
    return report, incidents.result(site.geo, SENSOR), statistics


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "captures"
    made.mkdir()
    return made


@pytest.mark.parametrize("visibility", MADE)
def test_each_visibility_separately(folder: Path, office: Config, visibility: str) -> None:
    for number, make in enumerate(MADE[visibility]):
        wire = Wire(DURING, number)
        for _ in range(3):
            make(wire, SERVICE)
        frames = sorted(wire.frames, key=lambda item: item[0])
        (folder / f"{number}.pcap").write_bytes(pcap(frames))
        report, _, _ = scanned(folder, office)
        assert report.total.counts == {visibility: 3}, number
        (folder / f"{number}.pcap").unlink()


def test_every_flow_is_counted_once(folder: Path, office: Config) -> None:
    clients = {SERVICE: 3, PERSONAL: 2, GUEST: 1, OUTSIDE: 1}
    made = mixed(folder / "a.pcap", 1, clients)
    report, incidents, statistics = scanned(folder, office)
    assert report.total.counts == made
    assert report.outside.flows == sum(made.values()) // 7
    by_network = {
        network.name: [(id, counts.flows) for id, counts in network.devices]
        for network in report.networks
    }
    each = sum(map(len, MADE.values()))
    assert by_network == {
        "byod": [(PERSONAL.ip, 2 * each)],
        "guest": [(GUEST.ip, each)],
        "hq": [(SERVICE.ip, 3 * each)],
    }
    # A bypass that no ban mentions is not a contact without a verdict.
    assert (list(incidents.alerts), incidents.recorded) == ([], 0)
    assert statistics.without_verdict == {}


@pytest.mark.parametrize("workers", [1, 2])
def test_without_devices_networks_have_the_same_flows(
    folder: Path, office: Config, workers: int
) -> None:
    """Also where one address has several devices, of which contacts tell more and more."""
    for number in range(2):
        clients = {SERVICE: 3, PERSONAL: 2, GUEST: 1, OUTSIDE: 1, Host(SERVICE.ip, GUEST.mac): 1}
        mixed(folder / f"{number}.pcap", number, clients)
    report, found, statistics = scanned(folder, office)
    other, incidents, others = scanned(folder, office, workers, by_device=False)
    assert (other.total, other.outside, other.missed) == (
        report.total,
        report.outside,
        report.missed,
    )
    assert [(each.name, each.total) for each in other.networks] == [
        (each.name, each.total) for each in report.networks
    ]
    assert not any(each.devices or each.rest.flows for each in other.networks)
    assert list(incidents.alerts) == list(found.alerts)
    assert others.anomalies == statistics.anomalies


def test_a_summary_counts_no_devices_unless_they_are_wanted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed(folder / "a.pcap", 1, {SERVICE: 3, GUEST: 1})
    asked: list[list[tuple[str, str]]] = []
    insert = Coverage._insert

    def noted(self: Coverage, key: tuple[str, str]) -> list[int] | None:
        asked[-1].append(key)
        return insert(self, key)

    summaries = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Coverage, "_insert", noted)
        for options in ([], ["--coverage"]):
            asked.append([])
            assert main(["scan", "-c", configured(tmp_path), *options, str(folder)]) == 0
            summaries.append(capsys.readouterr().err.splitlines()[1:])
    assert [len(devices) for devices in asked] == [0, 2]
    assert summaries[0] == summaries[1]


def test_workers_count_the_same(folder: Path, office: Config) -> None:
    made = sum(
        (mixed(folder / f"{n}.pcap", n, {SERVICE: n + 1, PERSONAL: 1}) for n in range(3)),
        Counter(),
    )
    one, _, _ = scanned(folder, office)
    assert one.total.counts == made
    assert scanned(folder, office, 2)[0] == one


def test_a_snap_length_cuts_hellos(folder: Path, office: Config) -> None:
    wire = Wire(DURING, 5)
    for _ in range(4):
        hello(wire, SERVICE, FAR, "www.example.org")
    exchange(
        SERVICE, wire, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 40 + b"Host: a.example\r\n\r\n", 80
    )
    exchange(
        SERVICE, wire, b"GET / HTTP/1.1\r\nHost: a.example\r\n" + b"X: y\r\n" * 40 + b"\r\n", 80
    )
    frames = sorted(wire.frames, key=lambda item: item[0])
    (folder / "cut.pcap").write_bytes(pcap(frames, snap=110))
    report, _, _ = scanned(folder, office)
    assert report.total.counts == {"truncated": 5, "named": 1}


def test_an_inbound_connection_counts_outside(folder: Path, office: Config) -> None:
    wire = Wire(DURING, 1)
    hello(wire, OUTSIDE, OURS)
    (folder / "in.pcap").write_bytes(pcap(wire.frames))
    report, _, _ = scanned(folder, office)
    assert (report.outside.flows, report.networks) == (1, ())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_mirror_without_tags_is_named_as_the_reason(
    folder: Path, office: Config, workers: int
) -> None:
    for number in range(2):
        wire = Wire(DURING, number)
        hello(wire, Host(PERSONAL.ip, PERSONAL.mac), FAR, "www.tiktok.com")
        hello(wire, Host(PERSONAL.ip, PERSONAL.mac, (31,)), FAR, "www.tiktok.com")
        hello(wire, OUTSIDE, FAR, "www.tiktok.com")
        frames = sorted(wire.frames, key=lambda item: item[0])
        (folder / f"{number}.pcap").write_bytes(pcap(frames))
    report, incidents, statistics = scanned(folder, office, workers)
    assert list(incidents.alerts) == []
    miss = "range 10.30.0.0/16 of network 'byod' matches only in VLAN 30, but the packet has"
    assert report.outside.flows == 6
    assert report.missed == {f"{miss} another tag": 2, f"{miss} no VLAN tag": 2}
    outside = "the client is outside the configured networks"
    assert statistics.without_verdict == {
        outside: 2,
        f"{outside}: {miss} another tag": 2,
        f"{outside}: {miss} no VLAN tag": 2,
    }


def test_a_ban_can_alert_on_a_bypass(folder: Path, tmp_path: Path) -> None:
    mixed(folder / "a.pcap", 1, {SERVICE: 1, PERSONAL: 1, GUEST: 1})
    site = config.load(configured(tmp_path, ALERTING))
    report, incidents, statistics = scanned(folder, site)
    alerts = list(incidents.alerts)
    found = {(alert.device.ip, alert.app.id, alert.verdict) for alert in alerts}
    apps = ("encrypted-dns", "icloud-private-relay", "vpn", "tor")
    assert found == {
        (client.ip, app, verdict)
        for client, verdict in ((SERVICE, "violation"), (PERSONAL, "advisory"))
        for app in apps
    }
    assert {alert.confidence for alert in alerts} <= {"confirmed", "probable"}
    reason = "ban 'our-rule' does not apply to devices of class guest"
    assert list(statistics.without_verdict) == [reason]
    # Alerting does not change the counts.
    assert report == scanned(folder, config.load(configured(tmp_path)))[0]


@pytest.mark.parametrize(
    ("kind", "name", "priority", "alerts"),
    [
        # Discovery of the resolvers that a network designates (RFC 9462) is not their use.
        ("SVCB", "_dns.resolver.arpa", 1, 0),
        ("SVCB", "_dns.resolver.arpa", 0, 1),
        ("HTTPS", "www.example.org", 1, 0),
        ("HTTPS", "www.example.org", 0, 1),
    ],
)
def test_of_service_bindings_only_an_alias_raises_an_alert(
    kind: str, name: str, priority: int, alerts: int, tmp_path: Path
) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    wire = Wire(DURING, 1)
    wire.lookup(SERVICE, RESOLVER, name, [(name, kind, 60, f"{priority} dns.google")], kind=kind)
    capture(folder / "a.pcap", wire)
    _, incidents, _ = scanned(folder, config.load(configured(tmp_path, ALERTING)))
    found = [(alert.app.id, alert.confidence, alert.names) for alert in incidents.alerts]
    assert found == [("encrypted-dns", "probable", ("dns.google",))] * alerts


# the command line


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    place = configured(tmp_path)
    mixed(folder / "a.pcap", 1, {SERVICE: 2})

    def _run(*words: str) -> tuple[int, str, str]:
        status = main(["scan", str(folder), "-c", place, *words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return _run


FLOWS = 2 * sum(map(len, MADE.values()))
NAMED = 2 * len(MADE["named"])


def test_the_summary_shows_blind_spots(run: Run) -> None:
    _, out, err = run()
    assert out == ""
    (line,) = [line for line in err.splitlines() if line.startswith("blind spots")]
    expected = f"blind spots   flows {FLOWS}: named {NAMED} ({100 * NAMED // FLOWS} %)"
    assert line.startswith(f"{expected}, encrypted-dns 10, vpn 6, no-hello 6, ech 4")
    assert "blind spots" not in run("-q")[2]


def test_the_summary_counts_packets_that_became_no_flow(run: Run, folder: Path) -> None:
    wire = Wire(DURING, 1)
    hello(wire, SERVICE, FAR)
    (folder / "cut.pcap").write_bytes(pcap(wire.frames, snap=50))
    _, _, err = run()
    lines = [line for line in err.splitlines() if line.startswith("blind spots   packets")]
    assert len(lines) == 1
    assert "cut " in lines[0]


def test_tags_that_are_not_known_are_in_summary_and_coverage(run: Run, folder: Path) -> None:
    """A mirror port that shows unknown tags does not count as well named."""
    wire = Wire(DURING, 1)
    hello(wire, SERVICE, FAR)
    hidden = [(time, frame[:12] + b"\x99\x99\0\1" + frame[12:]) for time, frame in wire.frames]
    (folder / "tagged.pcap").write_bytes(pcap(hidden * 200))
    _, out, err = run("--coverage", "--format", "jsonl")
    packets = json.loads(out.splitlines()[-1])["packets"]
    count = 200 * len(hidden)
    assert packets["unreadable"] == {"wrapping-unknown-0x9999": count}
    percent = 100 * count // packets["seen"]
    lines = [line for line in err.splitlines() if line.startswith("blind spots")]
    assert f"%, but {percent} % of the packets could not be read)" in lines[0]
    assert f"wrapping-unknown-0x9999 {count:,}" in lines[1]
    assert f"wrapping-unknown-0x9999 {count:,}" in err.split("anomalies")[1]
    row = run("--coverage", "-q")[1].splitlines()[-1].split()
    assert row[0] == "unreadable"
    assert row[-2:] == ["wrapping-unknown-0x9999", f"{count:,}"]


def test_the_coverage_record_comes_last(run: Run) -> None:
    _, out, _ = run("--coverage", "--format", "jsonl", "-q")
    record = json.loads(out.splitlines()[-1])
    assert record["schema"] == "netwatch.coverage/1"
    assert (record["flows"], record["named"]) == (FLOWS, NAMED)
    assert record["named"] + sum(record["unnamed"].values()) == FLOWS
    assert "netwatch.coverage" not in run("--format", "jsonl")[1]


def test_the_table_follows_the_alerts(run: Run) -> None:
    out = run("--coverage", "-q")[1]
    assert out.splitlines()[0].split()[:2] == ["network", "device"]
    assert SERVICE.ip in out


def test_csv_warns_that_it_has_no_coverage(run: Run) -> None:
    status, out, err = run("--coverage", "--format", "csv")
    assert status == 0
    assert out.count("\n") == 1  # the header
    assert "netwatch: --format csv has no coverage; use table or jsonl\n" in err
    assert run("--coverage", "--format", "csv", "-q")[2] == ""
