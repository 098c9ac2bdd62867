"""A live capture of interfaces, in namespaces: what scan tells of a file, live tells of it
on the wire."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.captures import pcap, timed
from support.documents import ROOT
from support.live import Capture, until
from support.namespaces import Namespace, frames_of, namespace, needed

from netwatch.capture.files import open_source
from netwatch.cli import main

pytestmark = needed
BY = ("-c", str(ROOT / "pcaps" / "netwatch.yaml"))
SAMPLES = ("office-day", "vlan-mirror", "post-quantum-hello", "quic-two-packets", "http-host")
TIMES = {"id", "first_seen", "last_seen", "evidence", "device"}
"""What hangs on the time or the number of a packet, or has something of it beside other things."""


@pytest.fixture
def place() -> Iterator[Namespace]:
    with namespace() as made:
        made.pair("out", "in", mtu=9000)
        yield made


def packets(*samples: str) -> list[bytes]:
    found = []
    for sample in samples:
        for block in open_source(str(ROOT / "pcaps" / f"{sample}.pcap")).blocks():
            found += frames_of([block])
    return found


def replay(place: Namespace, *samples: str) -> None:
    sender = place.sender("out")
    sender.send(*packets(*samples))
    sender.close()


def told(record: dict[str, Any]) -> str:
    """A record without what cannot be the same when its packets are sent another time."""
    kept = {key: value for key, value in record.items() if key not in TIMES}
    seen = sorted((e["type"], e["name"], e["role"], e["count"]) for e in record["evidence"])
    return json.dumps([record["device"]["id"], kept, seen], sort_keys=True)


@pytest.mark.parametrize(
    "how",
    [
        ("--source", "ring"),
        ("--source", "ring", "--no-filter", "--buffer", "8"),
        ("--source", "ring", "--fanout", "3"),
        ("--source", "scapy"),
    ],
    ids=["ring", "no-filter", "fanout", "scapy"],
)
def test_the_same_incidents_as_scan(
    place: Namespace, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: tuple[str, ...]
) -> None:
    with place.entered():
        live = Capture(tmp_path, "-i", "in", *how, *BY, "--state", str(tmp_path / "state"))
    try:
        live.says("started on in")
        replay(place, *SAMPLES)
        same = tmp_path / "same.pcap"
        same.write_bytes(pcap(timed(packets(*SAMPLES), time.time_ns(), 1000), nanos=True))
        main(["scan", "-q", "--format", "jsonl", str(same), *BY])
        scanned = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        until(lambda: len({each["id"] for each in live.records()}) >= len(scanned))
        assert live.stop() == 0
    finally:
        live.kill()
    closed = [each for each in live.records() if each["status"] == "closed"]
    assert sorted(map(told, closed)) == sorted(map(told, scanned))
    assert "dropped" not in live.text()


def test_an_interface_that_comes_and_goes_is_told(place: Namespace, tmp_path: Path) -> None:
    with place.entered():
        live = Capture(tmp_path, "-i", "in", *BY)
    try:
        live.says("started on in")
        place.ip("link", "set", "in", "down")
        live.says("in: was set down")
        place.ip("link", "set", "in", "up")
        live.says("in: was set up")
        replay(place, "vlan-mirror")
        live.tells(1)
        assert live.stop() == 0
    finally:
        live.kill()


def test_rights_are_dropped_and_packets_still_come(place: Namespace, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    folder = tmp_path / "nobody"
    folder.mkdir()
    folder.chmod(0o777)
    with place.entered():
        live = Capture(folder, "-i", "in", *BY, "--user", "nobody", "--fanout", "2")
    try:
        live.says("started on in")
        for pid in (live.process.pid, *live.workers()):
            status = Path(f"/proc/{pid}/status").read_text()
            assert "CapEff:\t0000000000000000" in status
            assert "Uid:\t0\t" not in status
        replay(place, "vlan-mirror")
        live.tells(1)
        assert live.stop() == 0
    finally:
        live.kill()


def test_silence_on_the_wire_ends_an_incident(place: Namespace, tmp_path: Path) -> None:
    text = (ROOT / "pcaps" / "netwatch.yaml").read_text().replace("quiet_gap: 30m", "quiet_gap: 1s")
    (tmp_path / "devices.csv").write_text("id,ip\nlab-07,10.20.7.7\n")
    (tmp_path / "site.yaml").write_text(text)
    with place.entered():
        live = Capture(tmp_path, "-i", "in", "-c", str(tmp_path / "site.yaml"))
    try:
        live.says("started on in")
        replay(place, "vlan-mirror")
        until(lambda: any(each["status"] == "closed" for each in live.records()))
        assert live.stop() == 0
        assert [each["status"] for each in live.records()].count("closed") == 1
    finally:
        live.kill()
