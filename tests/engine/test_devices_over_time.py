"""Whose a contact is at its time: rows of the inventory, and addresses with several devices."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import handshakes
import pytest
from craft import Conversation, Host, Wire
from support.office import CONFIG, FAR, TIKTOK, capture, configured, hello, lookup

from netwatch.cli import main
from netwatch.inventory.shared_clients import MANY_STACKS, NAT, PROXY

Captured = pytest.CaptureFixture[str]

IP = "10.20.1.7"
ROUTER = "02:00:00:20:00:01"
CLIENT = Host(IP, ROUTER)
NATTED = Host("10.20.5.5", "02:00:00:20:05:05")
SQUID = Host("10.20.0.90", "02:00:00:20:00:90")
DATED = """id,mac,ip,owner,class,from,until
ann-pc,,10.20.1.7,Ann,service,,2023-04-02
bob-phone,,10.20.1.7,Bob,personal,2023-04-03,2023-04-03
"""


def scan(path: str, config: str, capsys: Captured, *options: str) -> tuple[list[Any], str]:
    """The records of a scan, and its summary."""
    capsys.readouterr()
    words = ["scan", "-v", path, "-c", config, "--format", "jsonl", *options]
    assert main(words) == 0
    out, err = capsys.readouterr()
    return [json.loads(line) for line in out.splitlines()], err


def days(path: Path, *moments: str) -> str:
    """A capture of one client that calls the app at each of these moments."""
    frames = []
    for seed, moment in enumerate(moments):
        wire = Wire(f"{moment}+00:00", seed)
        hello(wire, CLIENT, FAR)
        frames += wire.frames
    wire.frames = frames
    return capture(path, wire)


@pytest.fixture
def office(tmp_path: Path) -> str:
    path = configured(tmp_path, CONFIG.replace("quiet_gap: 30m", "quiet_gap: 1m"))
    (tmp_path / "devices.csv").write_text(DATED)
    return path


def test_a_contact_is_that_of_the_row_of_its_day(
    office: str, tmp_path: Path, capsys: Captured
) -> None:
    path = days(
        tmp_path / "a.pcap",
        *("2023-04-02T23:59:30", "2023-04-03T00:02:00", "2023-04-03T23:50:00", "2023-04-04T10:00"),
    )
    found, _ = scan(path, office, capsys)
    assert [(each["device"]["id"], each["verdict"]) for each in found] == [
        ("ann-pc", "violation"),
        ("bob-phone", "advisory"),
        ("bob-phone", "advisory"),
        (IP, "violation"),
    ]
    file = str(tmp_path / "devices.csv")
    assert [each["binding"] for each in found[::3]] == [
        {
            "source": "inventory",
            "from": None,
            "until": "2023-04-03T00:00:00.000000Z",
            "file": file,
            "line": 2,
        },
        {"source": "address", "from": None, "until": None, "file": None, "line": None},
    ]
    assert found[0]["device"]["reason"] == "the inventory has its address: class of the entry"
    assert found[3]["device"]["reason"].startswith("the inventory has neither its address nor")


def test_rows_alike_within_a_minute_are_told_apart_at_midnight(
    office: str, tmp_path: Path, capsys: Captured
) -> None:
    """Contacts of one minute are judged as one, unless the row changes between them."""
    (tmp_path / "devices.csv").write_text(
        "id,ip,from,until\n"
        "one,10.20.1.7,,2023-04-03T08:00:10Z\ntwo,10.20.1.7,2023-04-03T08:00:10Z,\n"
    )
    wire = Wire("2023-04-03T08:00:00+00:00", 1)
    for second in range(0, 20, 2):
        wire.go_to(f"2023-04-03T08:00:{second:02}+00:00")
        lookup(wire, CLIENT)
    found, _ = scan(capture(tmp_path / "b.pcap", wire), office, capsys)
    counts = {each["device"]["id"]: each["counts"]["lookups"] for each in found}
    assert counts == {"one": 5, "two": 5}


def test_the_coverage_counts_flows_for_the_row_of_their_time(
    office: str, tmp_path: Path, capsys: Captured
) -> None:
    path = days(tmp_path / "a.pcap", "2023-04-02T12:00:00", "2023-04-03T12:00:00")
    (*_, report), _ = scan(path, office, capsys, "--coverage")
    text = json.dumps(report)
    assert "ann-pc" in text
    assert "bob-phone" in text


def test_a_flow_to_an_address_is_not_that_of_the_device_that_resolved_it(
    office: str, tmp_path: Path, capsys: Captured
) -> None:
    """The address was another's when it asked."""
    (tmp_path / "devices.csv").write_text(
        "id,ip,from,until\n"
        "one,10.20.1.7,,2023-04-03T08:00:10Z\ntwo,10.20.1.7,2023-04-03T08:00:10Z,\n"
    )

    def nameless(second: int) -> set[str]:
        wire = Wire("2023-04-03T08:00:00+00:00", 1)
        lookup(wire, CLIENT)
        wire.go_to(f"2023-04-03T08:00:{second:02}+00:00")
        talk = Conversation(wire, CLIENT, FAR, 443)
        talk.say(bytes(40))
        talk.reply(bytes(40))
        talk.close()
        found, _ = scan(capture(tmp_path / "c.pcap", wire), office, capsys)
        return {item["type"] for each in found for item in each["evidence"]}

    assert "ip-from-dns" in nameless(5)
    assert "ip-from-dns" not in nameless(15)


def stacks(wire: Wire, client: Host, count: int) -> None:
    """Hellos with so many different lists of cipher suites."""
    for number in range(count):
        plain = handshakes.records(handshakes.client_hello(TIKTOK, wire.rng))
        message = plain.replace(b"\xc0\x14", bytes((0xC0, 0x60 + number)), 1)
        assert message != plain
        talk = Conversation(wire, client, FAR, 443)
        talk.ask(message, "tls-sni", TIKTOK)


def nat_capture(path: Path, count: int = MANY_STACKS + 4) -> str:
    wire = Wire("2023-04-03T08:00:00+00:00", 7)
    stacks(wire, NATTED, count)
    return capture(path, wire)


def test_many_stacks_behind_an_address_are_no_device(
    office: str, tmp_path: Path, capsys: Captured
) -> None:
    found, summary = scan(nat_capture(tmp_path / "nat.pcap"), office, capsys)
    # What came before it was known is that of the address.
    (alert,) = found
    assert (alert["device"]["id"], alert["counts"]["handshakes"]) == (NATTED.ip, MANY_STACKS - 1)
    assert f"does not apply to devices whose class is unknown: {NAT}" in summary
    assert "device-behind-nat 5" in summary
    records, _ = scan(str(tmp_path / "nat.pcap"), office, capsys, "--coverage")
    ((reason, count),) = records[-1]["without_verdict"].items()
    assert (reason.endswith(NAT), count) == (True, 5)
    few, summary = scan(nat_capture(tmp_path / "few.pcap", MANY_STACKS - 1), office, capsys)
    assert few[0]["counts"]["handshakes"] == MANY_STACKS - 1
    assert "device-behind-nat" not in summary


@pytest.mark.parametrize("kind", ["service", "infrastructure"])
def test_the_inventory_knows_better(
    office: str, tmp_path: Path, capsys: Captured, kind: str
) -> None:
    """A terminal server is one device, whoever works on it; a router is none that a ban is for."""
    (tmp_path / "devices.csv").write_text(f"id,ip,class\nterminals,{NATTED.ip},{kind}\n")
    found, summary = scan(nat_capture(tmp_path / "nat.pcap"), office, capsys)
    assert "device-behind-nat" not in summary
    expected = [("terminals", MANY_STACKS + 4)] if kind == "service" else []
    assert [(each["device"]["id"], each["counts"]["handshakes"]) for each in found] == expected


def proxy_capture(path: Path) -> str:
    """A client asks a proxy, which then looks up and opens the connection."""
    wire = Wire("2023-04-03T08:00:00+00:00", 3)
    asked = f"CONNECT {TIKTOK}:443 HTTP/1.1\r\nHost: {TIKTOK}:443\r\n\r\n".encode()
    for client in (CLIENT, Host("10.20.1.9", "02:00:00:20:01:09")):
        talk = Conversation(wire, client, SQUID, 3128)
        talk.ask(asked, "http-host", TIKTOK)
        lookup(wire, SQUID)
        hello(wire, SQUID, FAR)
    return capture(path, wire)


def test_what_a_proxy_asks_for_others_is_theirs(
    office: str, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "devices.csv").write_text("id,ip\n")
    found, summary = scan(proxy_capture(tmp_path / "proxy.pcap"), office, capsys)
    assert {each["device"]["id"] for each in found} == {IP, "10.20.1.9"}
    assert f"whose class is unknown: {PROXY}" in summary
    assert "device-is-proxy" in summary


@pytest.mark.parametrize("make", [nat_capture, proxy_capture])
def test_neither_jobs_nor_the_hash_seed_change_it(
    office: str, tmp_path: Path, make: Callable[[Path], str]
) -> None:
    """Two captures, read by two workers, or each by four of them together."""
    (tmp_path / "in").mkdir()
    for name in ("x.pcap", "y.pcap"):
        make(tmp_path / "in" / name)
    words = ["-m", "netwatch", "scan", "-q", "-c", office, "--format", "jsonl"]
    found = set()
    for seed, jobs in enumerate((1, 2, 4)):
        done = subprocess.run(
            [sys.executable, *words, "--jobs", str(jobs), str(tmp_path / "in")],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1
    assert found != {""}
