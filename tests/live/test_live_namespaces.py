"""A live capture of interfaces, in namespaces: what scan tells of a file, live tells of it
on the wire."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from messages import query
from support.captures import pcap, timed
from support.frames import ETHERNET, tcp, udp
from support.live import WAIT, Capture, until
from support.namespaces import Namespace, frames_of, namespace, needed
from support.paths import ROOT

from netwatch.capture.files import open_source
from netwatch.cli import main

pytestmark = needed
BY = ("-c", str(ROOT / "pcaps" / "netwatch.yaml"))
SAMPLES = ("office-day", "vlan-mirror", "post-quantum-hello", "quic-two-packets", "http-host")
RELOADS = 8
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


def tcpreplay(place: Namespace, *samples: str) -> None:
    files = [str(ROOT / "pcaps" / f"{sample}.pcap") for sample in samples]
    call = ["ip", "netns", "exec", place.name, "tcpreplay", "-q", "--pps=5000", "-i", "out"]
    subprocess.run([*call, *files], check=True, capture_output=True, timeout=WAIT)


def open_to_all(folder: Path) -> Path:
    """A folder in one that anybody may write to."""
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    below = folder / "nobody"
    below.mkdir()
    below.chmod(0o777)
    return below


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
@pytest.mark.parametrize("send", [replay, tcpreplay])
def test_the_same_incidents_as_scan(
    place: Namespace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    how: tuple[str, ...],
    send: Callable[..., None],
) -> None:
    if send is tcpreplay and shutil.which("tcpreplay") is None:
        pytest.skip("not installed: tcpreplay")
    with place.entered():
        live = Capture(tmp_path, "-i", "in", *how, *BY, "--state", str(tmp_path / "state"))
    try:
        live.says("started on in")
        send(place, *SAMPLES)
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


@pytest.mark.parametrize(
    "how", [(), ("--user", "nobody"), ("--fanout", "2")], ids=["one", "without-rights", "fanout"]
)
def test_an_interface_that_is_removed_and_made_anew_is_captured_again(
    place: Namespace, tmp_path: Path, how: tuple[str, ...]
) -> None:
    with place.entered():
        live = Capture(open_to_all(tmp_path), "-i", "in", *BY, *how)
    try:
        live.says("started on in")
        replay(place, "vlan-mirror")
        live.tells(1)
        place.ip("link", "del", "in")
        live.says("in: is gone, waits for it to come back")
        place.pair("out", "in", mtu=9000)
        live.says("in: is back and captured again")
        replay(place, "http-host")
        live.tells(2)
        assert live.stop() == 0
    finally:
        live.kill()
    assert live.text().count("is gone") == live.text().count("captured again") == 1
    assert "not captured" not in live.text()


def long_request(size: int) -> bytes:
    """A request in a frame of so many bytes, that tells the host last."""
    head = b"GET / HTTP/1.1\r\nCookie: "
    tail = b"\r\nHost: www.tiktok.com\r\n\r\n"
    return ETHERNET.frame(tcp(head + b"c" * (size - 54 - len(head + tail)) + tail, dport=80))


def test_jumbo_frames_and_another_mtu(place: Namespace, tmp_path: Path) -> None:
    for name in ("out", "in"):
        place.ip("link", "set", name, "mtu", "1500")
    with place.entered():
        live = Capture(tmp_path, "-i", "in", *BY)
    try:
        live.says("started on in")
        for name in ("out", "in"):
            place.ip("link", "set", name, "mtu", "9000")
        live.says("in: has an MTU of 9000 now, was 1500")
        frame = long_request(9014)
        assert len(frame) == 9014
        sender = place.sender("out")
        sender.send(frame)
        sender.close()
        live.tells(1)
        assert live.stop() == 0
    finally:
        live.kill()
    assert live.told() == ["open confirmed", "closed confirmed"]


STEPPED = """
import sys
from pathlib import Path
from netwatch.capture import live_sources as live
from netwatch.capture import ring_source as ring
from netwatch.capture.block import FIELDS, TIME
from netwatch.cli import main

class Stepped(ring.RingSource):
    def blocks(self):
        for block in super().blocks():
            step = int(Path(sys.argv[1]).read_text()) * 10**9
            for at in range(TIME, block.count * FIELDS, FIELDS):
                block.records[at] += step
            yield block

live.SOURCES["ring"] = lambda interfaces, **options: Stepped(interfaces, **options)
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("step", [-60, 60, -86_400, 86_400])
def test_a_clock_that_is_set_ends_nothing(place: Namespace, tmp_path: Path, step: int) -> None:
    """The kernel's times come from the system's clock, which no test may set."""
    (tmp_path / "step").write_text("0")
    with place.entered():
        program = ("-c", STEPPED, str(tmp_path / "step"))
        live = Capture(tmp_path, "-i", "in", *BY, program=program)
    try:
        live.says("started on in")
        replay(place, "vlan-mirror")
        live.tells(2)
        before = live.records()
        (tmp_path / "step").write_text(str(step))
        replay(place, "http-host")
        live.says("the clock of the packets was set; open incidents stay open")
        live.tells(len(before) + 1)
        assert all(each["status"] != "closed" for each in live.records())
        assert live.stop() == 0
    finally:
        live.kill()
    closed = {each["id"] for each in live.records() if each["status"] == "closed"}
    assert closed == {each["id"] for each in live.records()}


def test_reloads_under_load_miss_nothing(place: Namespace, tmp_path: Path) -> None:
    """Each reload is in the middle of hellos, of which every one is counted."""
    text = (ROOT / "pcaps" / "netwatch.yaml").read_text()
    (tmp_path / "devices.csv").write_text("id,ip\nlab-07,10.20.7.7\n")
    site = tmp_path / "site.yaml"
    site.write_text(text)
    with place.entered():
        live = Capture(tmp_path, "-i", "in", "-c", str(site))
    sender = place.sender("out")
    sent = 0
    try:
        live.says("started on in")
        for number in range(1, RELOADS + 1):
            site.write_text(f"{text}\nsensor: {{name: sensor-{number}}}\n")
            live.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + WAIT
            while live.text().count(" reloaded: ") < number:
                assert time.monotonic() < deadline, live.text()
                sender.send(ETHERNET.frame(udp(query(sent & 0xFFFF, "www.tiktok.com", "A"))))
                sent += 1
                time.sleep(0.002)
        assert live.stop() == 0
    finally:
        sender.close()
        live.kill()
    opened, *_, closed = live.records()
    assert (opened["status"], closed["status"]) == ("open", "closed")
    assert closed["counts"]["lookups"] == sent > RELOADS
    assert opened["sensor"]["policy"] != closed["sensor"]["policy"]
    assert "dropped" not in live.text()


def test_rights_are_dropped_and_packets_still_come(place: Namespace, tmp_path: Path) -> None:
    with place.entered():
        live = Capture(open_to_all(tmp_path), "-i", "in", *BY, "--user", "nobody", "--fanout", "2")
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


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="not installed: setpriv")
def test_one_right_is_enough(place: Namespace, tmp_path: Path) -> None:
    rights = "-all,+net_raw"
    under = ("setpriv", f"--inh-caps={rights}", f"--bounding-set={rights}", "--no-new-privs")
    with place.entered():
        live = Capture(tmp_path, "-i", "in", *BY, "--fanout", "2", under=under)
    try:
        live.says("started on in")
        for pid in (live.process.pid, *live.workers()):
            assert "CapEff:\t0000000000002000" in Path(f"/proc/{pid}/status").read_text()
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
