"""The sample captures are what their scripts make, and hold what their README claims."""

import importlib.util
import random
import re
import runpy
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import dpkt
import pytest
from support import tshark
from support.paths import PCAPS

from netwatch.capture.files import find_captures
from netwatch.config import load as load_config
from netwatch.core.statistics import RunStatistics
from netwatch.engine import jobs
from netwatch.engine.capture_files import group_files
from netwatch.formats import jsonl
from netwatch.formats.alert_summary import summarize
from netwatch.incidents.scan import ScanIncidents

CAPTURES = sorted(PCAPS.glob("*.pcap"))
ROWS = dict(re.findall(r"^\| `([\w-]+\.pcap)` (\|.*)$", (PCAPS / "README.md").read_text(), re.M))
TSHARK_FIELDS = {
    "dns-query": "dns.qry.name",
    "dns-cname": "dns.cname",
    "svcb": "dns.svcb.targetname",
    "tls": "tls.handshake.extensions_server_name",
    "http-host": "http.host",
}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"pcaps_{name}", PCAPS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def claimed(capture: Path) -> list[tuple[str, str, str]]:
    lines = capture.with_suffix(".names.tsv").read_text().splitlines()
    assert lines[0] == "evidence\tclient\tname"
    return [(evidence, client, name) for evidence, client, name in map(str.split, lines[1:])]


def test_every_script_has_its_capture_and_its_row() -> None:
    scripts = {path.with_suffix(".pcap").name for path in PCAPS.glob("*-*.py")}
    assert scripts == {path.name for path in CAPTURES} == set(ROWS)


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_script_gives_the_same_bytes(
    capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = str(capture.with_suffix(".py"))
    monkeypatch.setattr(sys, "argv", [script, str(tmp_path)])
    runpy.run_path(script, run_name="__main__")
    names = capture.with_suffix(".names.tsv").name
    assert (tmp_path / capture.name).read_bytes() == capture.read_bytes()
    assert (tmp_path / names).read_text() == (PCAPS / names).read_text()


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_capture_is_small_and_of_documentation_addresses(capture: Path) -> None:
    assert capture.stat().st_size < 330_000
    allowed = re.compile(rb"\x0a|\xc0\x00\x02|\xc6\x33\x64|\xcb\x00\x71|\x20\x01\x0d\xb8", re.S)
    # nobody yet, everybody, the groups and addresses of one link (RFC 6890, RFC 4291)
    on_link = re.compile(rb"\0{4}|\xff{4}|\0{16}|\xe0\0\0|\xff\x02\0|\xfe\x80\0", re.S)
    with capture.open("rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            ether = dpkt.ethernet.Ethernet(frame)
            assert ether.src[0] & 0x03 == 0x02
            assert ether.dst[0] & 0x03 in (0x01, 0x02, 0x03)
            if isinstance(ether.data, dpkt.arp.ARP):
                ends = ether.data.spa, ether.data.tpa
            else:
                ends = ether.data.src, ether.data.dst
            assert all(allowed.match(end) or on_link.match(end) for end in ends)


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_readme_names_are_in_the_capture(capture: Path) -> None:
    in_row = set(re.findall(r"`([\w.-]+\.[a-z]+)`", ROWS[capture.name].split("|")[2]))
    assert len(in_row) >= 5
    assert in_row <= {name for _, _, name in claimed(capture)}


def scanned(*captures: Path) -> dict[str, dict[str, Any]]:
    """The alerts of the captures by device, or by address where it has no other name."""
    config = load_config(str(PCAPS / "netwatch.yaml"))
    sources = list(group_files(find_captures([str(path) for path in captures]), False))
    with ScanIncidents(config.quiet_gap) as incidents:
        jobs.scan(sources, config, RunStatistics(), incidents, workers=1)
        alerts = list(incidents.result(config.geo, config.sensor).alerts)
    records = {alert.device.id: jsonl.alert_record(alert) for alert in alerts}
    assert len(records) == len(alerts)
    return records


def table_of(heading: str) -> dict[str, str]:
    """The last column of a table of the README by device."""
    section = (PCAPS / "README.md").read_text().partition(f"## {heading}\n")[2]
    rows = re.findall(r"^\| ([\w.-]+) \|.* \| (.*) \|$", section.partition("\n## ")[0], re.M)
    return {device: text for device, text in rows if device not in ("device", "---")}


def test_five_kinds_look_like_what_they_are() -> None:
    records = scanned(PCAPS / "five-kinds.pcap")
    expected = table_of("Five kinds")
    assert len(expected) == 8
    assert expected == {
        device: f"{record['kind']['value']}, {record['outcome']}"
        for device, record in records.items()
    }
    assert {record["verdict"] for record in records.values()} == {"violation"}
    assert {record["blocked_by"][0] for record in records.values() if record["blocked_by"]} == {
        *("NXDOMAIN", "0.0.0.0", "10.20.0.90", "reset"),
    }
    use = records["phone-021"]["counts"]
    assert use["bytes_in"] > 1_000_000


def test_blocked_attempts_say_so_and_are_less_severe() -> None:
    for device, record in scanned(PCAPS / "five-kinds.pcap").items():
        message = summarize(record).message
        is_blocked = record["outcome"] == "blocked"
        assert is_blocked is (device in ("phone-025", "phone-026", "phone-027", "phone-028"))
        assert ("the app is probably still installed" in message) is is_blocked
        assert (record["severity"] == "high") is (not is_blocked and device != "ws-023")
        assert ("use of the app" in message) is (device == "phone-021")
        assert ("a page may have embedded it" in message) is (device == "ws-023")


def test_office_day_is_what_the_readme_claims() -> None:
    records = scanned(PCAPS / "office-day.pcap")
    claimed = {
        device: text
        for device, text in table_of("The office day").items()
        if text.startswith(("violation", "advisory", "exempt"))
    }
    assert set(claimed) == set(records)
    for device, text in claimed.items():
        record = records[device]
        verdict, _, judged = text.partition(": ")
        words = [record["verdict"], record["confidence"]]
        assert verdict in (words[0], ", ".join(words))
        assert judged == f"{record['kind']['value']}, {record['outcome']}"


@tshark.needed
@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_tshark_reads_the_claimed_names(capture: Path) -> None:
    read: Counter[tuple[str, str]] = Counter()
    for response, priorities, *columns in tshark.fields(
        capture, ["dns.flags.response", "dns.svcb.svcpriority", *TSHARK_FIELDS.values()]
    ):
        for evidence, column in zip(TSHARK_FIELDS, columns, strict=True):
            kind = {"svcb": "dns-cname"}.get(evidence, evidence)
            # Pipelined messages share a packet, and queries and answers never do here.
            if evidence == "dns-query" and response.startswith(("1", "True")):
                kind = "dns-answer"
            hosts = column.split(",")
            if evidence == "svcb":
                # Only with priority 0 the target is an alias.
                both = zip(hosts, priorities.split(","), strict=True)
                hosts = [host for host, priority in both if priority == "0"]
            for name in hosts:
                host = name.lower().partition(":")[0].rstrip(".")
                if host and host != "<root>":
                    read[kind, host] += 1
    expected: Counter[tuple[str, str]] = Counter()
    for evidence, _, name in claimed(capture):
        expected["tls" if evidence in ("tls-sni", "quic-sni") else evidence, name] += 1
    assert read == expected


def test_initial_keys_are_those_of_the_rfcs() -> None:
    handshakes = load("handshakes")
    dcid = bytes.fromhex("8394c8f03e515708")
    client = handshakes.initial_keys(handshakes.QUIC_V1, dcid)
    server = handshakes.initial_keys(handshakes.QUIC_V1, dcid, "server")
    second = handshakes.initial_keys(handshakes.QUIC_V2, dcid)
    # RFC 9001 appendix A.1, RFC 9369 appendix A.1.
    assert [key.hex() for key in client] == [
        "1f369613dd76d5467730efcbe3b1a22d",
        "fa044b2f42a3fd3b46fb255c",
        "9f50449e04a0e810283a1e9933adedd2",
    ]
    assert [key.hex() for key in server] == [
        "cf3a5331653c364c88f0f379b6067e37",
        "0ac1493ca1905853b0bba03e",
        "c206b8d9b9f0f37644430b490eeaa314",
    ]
    assert [key.hex() for key in second] == [
        "8b1a0bc121284290a29e0971b5cd045d",
        "91f73e2351d8fa91660e909f",
        "45b95e15235d6f45a6b19cbcb0294ba9",
    ]


@pytest.mark.parametrize(("value", "size"), [(0, 1), (63, 1), (64, 2), (16383, 2), (16384, 4)])
def test_varint_is_shortest(value: int, size: int) -> None:
    encoded = load("handshakes").varint(value)
    assert len(encoded) == size
    assert int.from_bytes(encoded, "big") & ((1 << (8 * size - 2)) - 1) == value


def test_hello_sizes_are_those_of_browsers() -> None:
    handshakes = load("handshakes")
    plain = handshakes.client_hello("www.example.org", random.Random(1))
    large = handshakes.client_hello("www.example.org", random.Random(1), post_quantum=True)
    assert 480 < len(plain) < 560
    assert 1700 < len(large) < 1800
    assert dpkt.ssl.TLSClientHello(plain[4:])
    assert handshakes.records(large, 256).count(b"\x16\x03\x01\x01\x00") == len(large) // 256


def test_answer_is_compressed() -> None:
    messages = load("messages")
    records = [
        ("a.example.org", "CNAME", 60, "b.example.org"),
        ("b.example.org", "A", 60, "192.0.2.1"),
    ]
    data = messages.answer(7, "a.example.org", "A", records)
    assert data.count(b"\7example\3org\0") == 1
    parsed = dpkt.dns.DNS(data)
    assert [record.name for record in parsed.an] == ["a.example.org", "b.example.org"]
    assert parsed.an[0].cname == "b.example.org"
