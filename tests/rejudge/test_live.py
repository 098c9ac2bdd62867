"""What ``live`` with a store has reported is judged again as well."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from craft import Host, Wire
from support.office import CONFIG, DURING, FAR, LAB, PERSONAL, SERVICE, capture, configured, hello
from support.waiting import TIMEOUT

from netwatch.cli import main
from netwatch.rejudge.again import CLOSED_EARLY

Run = Callable[..., str]
Live = Callable[[Wire], list[str]]


@pytest.fixture
def config(tmp_path: Path) -> str:
    """The configuration of the office, with a store."""
    learn = "  inventory: devices.csv\n  learn: [dhcp, mdns, arp]\n"
    text = CONFIG.replace("  inventory: devices.csv\n", learn)
    return configured(tmp_path, f"{text}store: {{path: store}}\n")


@pytest.fixture
def live(tmp_path: Path, config: str) -> Live:
    """Runs ``live`` over a capture to its end; the records of closed incidents."""

    def _live(wire: Wire) -> list[str]:
        out = tmp_path / "out.jsonl"
        path = capture(tmp_path / "day.pcap", wire)
        command = [sys.executable, "-m", "netwatch", "live", "-q", "--source", "file", "-i", path]
        command += ["-c", config, "--format", "jsonl", "-o", str(out)]
        subprocess.run(command, check=True, timeout=TIMEOUT, stderr=subprocess.PIPE)
        lines = out.read_text().splitlines(keepends=True)
        return [line for line in lines if json.loads(line)["status"] == "closed"]

    return _live


def minutes(*clients: Host) -> Wire:
    """Clients contact TikTok one after the other, ten minutes apart."""
    wire = Wire(DURING, 3)
    for client in clients:
        hello(wire, client, FAR)
        wire.wait(600)
    return wire


def test_a_live_capture_gives_the_same_alerts_again(run: Run, live: Live, config: str) -> None:
    closed = live(minutes(SERVICE, LAB, PERSONAL))
    assert len(closed) == 3
    common = ("-q", "-c", config, "--format", "jsonl")
    assert run("rejudge", *common, "--all") == "".join(closed)
    assert run("rejudge", *common) == ""
    found = [
        json.loads(line) for line in run("rejudge", *common, "--at", "2020-01-01").splitlines()
    ]
    assert [each["change"] for each in found] == ["withdrawn"] * 3


def test_an_incident_that_was_closed_before_its_flows_is_counted_with_the_reason(
    live: Live, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """When hours of packets are read in a moment, an incident may be over before the bytes of its
    flow are reported. Whether it is depends on the moment, so the stored record is made to be."""
    (closed,) = live(minutes(SERVICE))
    record = json.loads(closed)
    assert record["counts"]["bytes_out"] > 0
    record["counts"] |= {"bytes_out": 0, "bytes_in": 0}
    with closing(sqlite3.connect(tmp_path / "store" / "catalogue.sqlite")) as catalogue:
        catalogue.execute("UPDATE incident SET record = ?", [json.dumps(record)])
        catalogue.commit()
    capsys.readouterr()
    assert main(["rejudge", "-c", config, "--format", "jsonl"]) == 0
    captured = capsys.readouterr()
    (found,) = map(json.loads, captured.out.splitlines())
    assert (found["change"], found["fields"]) == ("changed", ["counts"])
    assert found["reason"] == f"{CLOSED_EARLY}; counts differ"
    assert captured.err == "netwatch: 1 run judged again: 1 changed\n"
