"""Answers that a log writes in several lines: evidence names the line with the name, and `verify`
finds the name there."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import fake_log
from support.resolver_logs import SAMPLES

from netwatch.cli import main
from netwatch.config import load
from netwatch.core.alert import Alert
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.flow_visibility import FLOW_RECORD_LOGS
from netwatch.engine import jobs
from netwatch.incidents.evidence_folder import EvidenceFolder
from netwatch.incidents.scan import ScanIncidents
from netwatch.logs.registry import LOG_FORMATS
from netwatch.verify.log_lines import LineFinding, check_lines, read_lines

CONFIG = """
version: 1
networks: [{name: office, cidrs: [10.0.0.0/8], class: service, authority: X}]
bans: [{id: b, authority: X, apps: [tiktok], forbids: [service], from: 2020-01-01, legal_basis: y}]
"""

EXTRA = """\
Mar  2 09:15:01 dnsmasq[7]: 41 10.0.0.12/40001 query[A] go.example.org from 10.0.0.12
Mar  2 09:15:01 dnsmasq[7]: 41 10.0.0.12/40001 forwarded go.example.org to 192.0.2.53
Mar  2 09:15:01 dnsmasq[7]: 42 10.0.0.13/40002 query[A] www.example.org from 10.0.0.13
Mar  2 09:15:02 dnsmasq[7]: 41 10.0.0.12/40001 reply go.example.org is <CNAME>
Mar  2 09:15:02 dnsmasq[7]: 42 10.0.0.13/40002 reply www.example.org is 203.0.113.20
Mar  2 09:15:02 dnsmasq[7]: 41 10.0.0.12/40001 reply www.tiktok.com is <CNAME>
Mar  2 09:15:02 dnsmasq[7]: 41 10.0.0.12/40001 reply api16-normal-c-useast1a.tiktokv.com is <CNAME>
Mar  2 09:15:02 dnsmasq[7]: 41 10.0.0.12/40001 reply edge.example.net is 203.0.113.7
Mar  2 09:15:02 dnsmasq[7]: 41 10.0.0.12/40001 reply edge.example.net is 203.0.113.8
Mar  2 09:15:03 dnsmasq[7]: 43 10.0.0.12/40003 query[A] m.tiktok.com from 10.0.0.12
Mar  2 09:15:03 dnsmasq[7]: 43 10.0.0.12/40003 reply error is SERVFAIL
"""

PLAIN = """\
Mar  2 09:15:01 dnsmasq[7]: query[A] go.example.org from 10.0.0.12
Mar  2 09:15:01 dnsmasq[7]: cached go.example.org is <CNAME>
Mar  2 09:15:01 dnsmasq[7]: cached www.tiktok.com is 203.0.113.7
"""


def event(second: int, dns: dict[str, object], flow: int = 1, client: str = "10.0.0.12") -> str:
    return json.dumps({
        "timestamp": f"2026-03-02T09:15:{second:02d}.000000+0000", "flow_id": flow,
        "event_type": "dns", "src_ip": "192.0.2.53", "src_port": 53, "dest_ip": client,
        "dest_port": 40001, "proto": "UDP", "dns": {"id": 7, **dns},
    }, separators=(",", ":"))  # fmt: skip


def record(name: str, kind: str, data: str) -> dict[str, object]:
    return {"type": "answer", "rcode": "NOERROR", "rrname": name, "rrtype": kind, "ttl": 60,
            "rdata": data}  # fmt: skip


EVE = [
    event(1, record("go.example.org", "CNAME", "www.tiktok.com")),
    event(1, record("www.example.org", "A", "203.0.113.20"), flow=2, client="10.0.0.13"),
    event(1, record("www.tiktok.com", "CNAME", "edge.example.net")),
    event(1, record("edge.example.net", "A", "203.0.113.7")),
    event(9, record("www.example.net", "A", "203.0.113.20"), flow=3, client="10.0.0.13"),
]

KNOT = [f"Mar  2 09:15:01 r kresd[1]: {text}" for text in (
    "[reqdbg][policy][41.00] request packet arrived from 10.0.0.12#40001 to 192.0.2.53#53 (UDP)",
    "[reqdbg][policy][41.00] answer packet:",
    ";; ->>HEADER<<- opcode: QUERY; status: NOERROR; id: 7",
    ";; QUESTION SECTION",
    "go.example.org.\tA",
    ";; ANSWER SECTION",
    "go.example.org.\t60\tCNAME\twww.tiktok.com.",
    "www.tiktok.com.\t60\tA\t203.0.113.7",
    ";; ADDITIONAL SECTION",
)]  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "netwatch.yaml").write_text(CONFIG)
    return tmp_path


def scanned(folder: Path, name: str, lines: Sequence[str]) -> tuple[list[Alert], list[LineFinding]]:
    """The alerts of a log, and what `verify` says of their evidence."""
    log = fake_log.write(folder / "x.log", lines)
    site = load(str(folder / "netwatch.yaml"))
    proof = EvidenceFolder(folder / "proof", pytest.fail)
    with ScanIncidents(site.quiet_gap) as incidents:
        unit = fake_log.unit(log, name=name)
        jobs.scan([], site, RunStatistics(), incidents, logs=[unit], keep_frames=True)
        alerts = [proof.write(each) for each in incidents.result(None, site.sensor).alerts]
    files = sorted((folder / "proof").glob("*.lines"))
    return alerts, [found for file in files for found in check_lines(*read_lines(file))]


def places(alerts: Sequence[Alert]) -> set[tuple[str, str, int]]:
    return {(item.type, item.name, item.packet) for each in alerts for item in each.evidence}


def results(findings: Sequence[LineFinding]) -> set[tuple[str, str, int, bool, str]]:
    return {(each.piece.type, each.piece.name, each.piece.number, each.piece.is_part, each.result)
            for each in findings}  # fmt: skip


def test_each_name_of_an_answer_of_dnsmasq_is_in_its_line(site: Path) -> None:
    alerts, findings = scanned(site, "dnsmasq", EXTRA.splitlines())
    assert places(alerts) == {
        ("dns-cname", "www.tiktok.com", 6), ("dns-cname", "api16-normal-c-useast1a.tiktokv.com", 7),
        ("dns-query", "m.tiktok.com", 10), ("dns-answer", "m.tiktok.com", 10),
    }  # fmt: skip
    found = results(findings)
    assert {each[-1] for each in found} == {"shown"}
    assert {each[1:4] for each in found if each[0] == "dns-cname"} == {
        (name, line, line != own)
        for name, own in (("www.tiktok.com", 6), ("api16-normal-c-useast1a.tiktokv.com", 7))
        for line in (1, 4, 6, 7, 8)
    }
    assert ("dns-answer", "m.tiktok.com", 11, True, "shown") in found


def test_without_serial_numbers_only_the_query_says_who_asked(site: Path) -> None:
    alerts, findings = scanned(site, "dnsmasq", PLAIN.splitlines())
    assert places(alerts) == {("dns-cname", "www.tiktok.com", 3)}
    assert results(findings) == {
        ("dns-cname", "www.tiktok.com", line, line != 3, "shown") for line in (1, 2, 3)
    }


def test_each_record_of_an_answer_of_eve_1_is_an_event(site: Path) -> None:
    alerts, findings = scanned(site, "suricata-eve", EVE)
    assert places(alerts) == {("dns-cname", "www.tiktok.com", 1)}
    assert results(findings) == {
        ("dns-cname", "www.tiktok.com", line, line != 1, "shown") for line in (1, 3, 4)
    }


def test_a_packet_of_knot_has_lines(site: Path) -> None:
    alerts, findings = scanned(site, "knot", KNOT)
    assert places(alerts) == {("dns-cname", "www.tiktok.com", 7)}
    assert {(number, part) for *_, number, part, _ in results(findings)} == {
        (line, line != 7) for line in (1, 2, 5, 7, 8)
    }  # fmt: skip
    assert {each.result for each in findings} == {"shown"}


def test_an_event_of_sysmon_has_lines(site: Path) -> None:
    (site / "devices.csv").write_text("hostname,ip\npc-1,10.0.0.12\n")
    text = (site / "netwatch.yaml").read_text()
    (site / "netwatch.yaml").write_text(f"{text}devices: {{inventory: devices.csv}}\n")
    alerts, findings = scanned(site, "sysmon", [
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'>",
        "<System><Provider Name='Microsoft-Windows-Sysmon'/><EventID>22</EventID>",
        "<TimeCreated SystemTime='2026-03-02T09:15:01.000Z'/>",
        "<Computer>pc-1</Computer></System><EventData>",
        "<Data Name='QueryName'>go.example.org</Data><Data Name='QueryStatus'>0</Data>",
        "<Data Name='QueryResults'>type: 5 www.tiktok.com;203.0.113.7;</Data>",
        "</EventData></Event>",
    ])  # fmt: skip
    assert places(alerts) == {("dns-cname", "www.tiktok.com", 6)}
    assert {each.result for each in findings} == {"shown"}
    assert {each.piece.number for each in findings} == {1, 2, 3, 4, 5, 6, 7}


def test_a_line_that_leads_to_the_name_must_be_there(site: Path) -> None:
    _, findings = scanned(site, "dnsmasq", PLAIN.splitlines())
    assert {each.result for each in findings} == {"shown"}
    log = site / "x.log"
    log.write_text(log.read_text().replace("10.0.0.12", "10.0.0.99"))
    file = next((site / "proof").glob("*.lines"))
    changed = check_lines(*read_lines(file))
    assert {(each.piece.number, each.result) for each in changed} == {
        (1, "differs"), (2, "shown"), (3, "shown")}  # fmt: skip


WITH_NAMES = [
    name for name in LOG_FORMATS if (SAMPLES / name).is_dir() and name not in FLOW_RECORD_LOGS
]


@pytest.mark.parametrize("name", WITH_NAMES)
def test_evidence_of_each_format_is_shown(name: str, tmp_path: Path) -> None:
    """Of all samples of logs: another reader finds each name in the record that evidence names."""
    (tmp_path / "devices.csv").write_text("hostname,ip\nPC-0104.example.org,10.0.0.4\n")
    (tmp_path / "netwatch.yaml").write_text(
        CONFIG.replace("[10.0.0.0/8]", "[0.0.0.0/0, '::/0']")
        + "devices: {inventory: devices.csv}\n"
    )
    site = load(str(tmp_path / "netwatch.yaml"))
    files = sorted((SAMPLES / name).iterdir())
    proof = EvidenceFolder(tmp_path / "proof", pytest.fail)
    with ScanIncidents(site.quiet_gap) as incidents:
        units = [fake_log.unit(file, name=name) for file in files]
        jobs.scan([], site, RunStatistics(), incidents, logs=units, keep_frames=True)
        for alert in incidents.result(None, site.sensor).alerts:
            proof.write(alert)
    written = sorted((tmp_path / "proof").glob("*.lines"))
    findings = [found for file in written for found in check_lines(*read_lines(file))]
    assert [each for each in findings if each.result != "shown"] == []
    assert {each.piece.source for each in findings} <= {str(file) for file in files}
    assert findings


def test_pieces_of_a_line_are_part_of_it(site: Path) -> None:
    """Kubernetes divides long lines; the name may be in a piece before the last."""
    alerts, findings = scanned(site, "dnsmasq", [
        "2026-03-02T09:15:01Z stdout P dnsmasq[7]: 41 10.0.0.12/40001 query[A] m.tiktok.com from",
        "2026-03-02T09:15:01Z stderr F other.example.org",
        "2026-03-02T09:15:01Z stdout F  10.0.0.12",
    ])  # fmt: skip
    assert places(alerts) == {("dns-query", "m.tiktok.com", 3)}
    assert {(each.piece.number, each.piece.is_part, each.found) for each in findings} == {
        (1, True, ""), (3, False, "the name in record 1")}  # fmt: skip
    assert [each.result for each in findings if not each.piece.is_part] == ["unread"]


NFDUMP = pytest.mark.skipif(not shutil.which("nfdump"), reason="needs nfdump")
ANSWER = """\
Nov 29 09:59:58 gw dnsmasq[7]: 1 10.20.6.20/40001 query[A] www.tiktok.com from 10.20.6.20
Nov 29 09:59:58 gw dnsmasq[7]: 1 10.20.6.20/40001 reply www.tiktok.com is 192.0.2.81
"""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=NFDUMP) if name == "nfcapd" else name
        for name in sorted(FLOW_RECORD_LOGS)
    ],
)
def test_a_flow_record_is_shown_by_the_answer_that_names_its_address(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "netwatch.yaml").write_text(CONFIG)
    log = tmp_path / "dns.log"
    log.write_text(ANSWER)
    for file in sorted((SAMPLES / name).iterdir()):
        proof = tmp_path / f"proof-{file.name}"
        options = ["-c", str(tmp_path / "netwatch.yaml"), "--year", "2026", "--timezone", "UTC"]
        assert main(["scan", "-q", *options, "--evidence", str(proof), str(log), str(file)]) == 0
        (written,) = proof.glob("*.lines")
        findings = list(check_lines(*read_lines(written)))
        assert {each.result for each in findings} == {"shown"}
        assert str(file) in {each.piece.source for each in findings}
    capsys.readouterr()
