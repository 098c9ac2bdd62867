"""Live captures on interfaces in network namespaces: they report the same incidents as a scan
of the same packets in a file."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from messages import query
from support.captures import pcap, timed
from support.examples import only_long
from support.frames import ETHERNET, tcp, udp
from support.live import Capture
from support.namespaces import Namespace, frames_of, namespace, needs_namespaces
from support.paths import ROOT
from support.programs import needs, require_programs
from support.waiting import TIMEOUT, wait_until

from netwatch.capture.files import open_source
from netwatch.cli import main

pytestmark = needs_namespaces
CONFIG = ("-c", str(ROOT / "pcaps" / "netwatch.yaml"))
SAMPLES = ("office-day", "vlan-mirror", "post-quantum-hello", "quic-two-packets", "http-host")
RELOADS = 8
TIMES = {"duration", "id", "first_seen", "last_seen", "evidence", "device"}
"""Fields that depend on the time or the number of a packet."""


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
    subprocess.run([*call, *files], check=True, capture_output=True, timeout=TIMEOUT)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may write to. It is not one of pytest, which closes the folder that
    has its own to other users whenever another run begins."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        yield Path(place)


def without_times(record: dict[str, Any]) -> str:
    """A record without the fields that differ when its packets are sent again."""
    fields = {key: value for key, value in record.items() if key not in TIMES}
    evidence = sorted((e["type"], e["name"], e["role"], e["count"]) for e in record["evidence"])
    return json.dumps([record["device"]["id"], fields, evidence], sort_keys=True)


RING = ("--source", "ring")
UNFILTERED, SHARED = (*RING, "--no-filter", "--buffer", "8"), (*RING, "--fanout", "3")
SCAPY = ("--source", "scapy")


@pytest.mark.parametrize(
    ("how", "send"),
    [
        (RING, tcpreplay),
        (UNFILTERED, replay),
        (SHARED, replay),
        (SCAPY, replay),
        only_long(RING, replay),
        *(only_long(how, tcpreplay) for how in (UNFILTERED, SHARED, SCAPY)),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else value.__name__,
)
def test_the_same_incidents_as_scan(
    place: Namespace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    how: tuple[str, ...],
    send: Callable[..., None],
) -> None:
    if send is tcpreplay:
        require_programs("tcpreplay")
    with place.entered():
        live = Capture(tmp_path, "-i", "in", *how, *CONFIG, "--state", str(tmp_path / "state"))
    try:
        live.wait_for_log("started on in")
        send(place, *SAMPLES)
        same = tmp_path / "same.pcap"
        same.write_bytes(pcap(timed(packets(*SAMPLES), time.time_ns(), 1000), nanos=True))
        main(["scan", "-q", "--format", "jsonl", str(same), *CONFIG])
        scanned = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        wait_until(lambda: len({record["id"] for record in live.records()}) >= len(scanned))
        assert live.stop() == 0
    finally:
        live.kill()
    assert sorted(map(without_times, live.closed())) == sorted(map(without_times, scanned))
    assert "dropped" not in live.log()


def test_an_interface_that_goes_down_and_up_is_logged(place: Namespace, tmp_path: Path) -> None:
    with place.entered():
        live = Capture(tmp_path, "-i", "in", *CONFIG)
    try:
        live.wait_for_log("started on in")
        place.ip("link", "set", "in", "down")
        live.wait_for_log("in: is down now")
        place.ip("link", "set", "in", "up")
        live.wait_for_log("in: is up now")
        replay(place, "vlan-mirror")
        live.wait_for_records(1)
        assert live.stop() == 0
    finally:
        live.kill()


@pytest.mark.parametrize(
    "how", [(), ("--user", "nobody"), ("--fanout", "2")], ids=["one", "unprivileged", "fanout"]
)
def test_an_interface_that_is_removed_and_created_again_is_captured_again(
    place: Namespace, open_folder: Path, how: tuple[str, ...]
) -> None:
    with place.entered():
        live = Capture(open_folder, "-i", "in", *CONFIG, *how)
    try:
        live.wait_for_log("started on in")
        replay(place, "vlan-mirror")
        live.wait_for_records(1)
        place.ip("link", "del", "in")
        live.wait_for_log("in: was removed, waiting for it to return")
        place.pair("out", "in", mtu=9000)
        live.wait_for_log("in: has returned and is captured again")
        replay(place, "http-host")
        live.wait_for_records(2)
        assert live.stop() == 0
    finally:
        live.kill()
    assert live.log().count("was removed") == live.log().count("captured again") == 1
    assert "not captured" not in live.log()


def long_request(size: int) -> bytes:
    """A frame of so many bytes with an HTTP request whose last header is Host."""
    head = b"GET / HTTP/1.1\r\nCookie: "
    tail = b"\r\nHost: www.tiktok.com\r\n\r\n"
    return ETHERNET.frame(tcp(head + b"c" * (size - 54 - len(head + tail)) + tail, dport=80))


def test_jumbo_frames_and_another_mtu(place: Namespace, tmp_path: Path) -> None:
    for name in ("out", "in"):
        place.ip("link", "set", name, "mtu", "1500")
    with place.entered():
        live = Capture(tmp_path, "-i", "in", *CONFIG)
    try:
        live.wait_for_log("started on in")
        for name in ("out", "in"):
            place.ip("link", "set", name, "mtu", "9000")
        live.wait_for_log("in: its MTU changed from 1500 to 9000")
        frame = long_request(9014)
        assert len(frame) == 9014
        sender = place.sender("out")
        sender.send(frame)
        sender.close()
        live.wait_for_records(1)
        assert live.stop() == 0
    finally:
        live.kill()
    assert live.states() == ["open probable", "closed probable"]


PROGRAM_WITH_STEPS = """
import sys
import time
from pathlib import Path
from netwatch.capture import block as live
from netwatch.capture import ring_source as ring
from netwatch.capture.block import FIELDS, TIME
from netwatch.cli import main

def step():
    return int(Path(sys.argv[1]).read_text()) * 10**9

wall = time.time_ns
time.time_ns = lambda: wall() + step()

class Stepped(ring.RingSource):
    def blocks(self):
        for block in super().blocks():
            for at in range(TIME, block.count * FIELDS, FIELDS):
                block.records[at] += step()
            yield block

live.LIVE_SOURCES["ring"] = lambda interfaces, **options: Stepped(interfaces, **options)
sys.exit(main(sys.argv[2:]))
"""


PROGRAM_WITH_SHORT_STEPS = """
import sys
from netwatch.cli import main
from netwatch.live import packet_clock
packet_clock.STEP_TOLERANCE = 2 * 10**9
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("step", [-60, only_long(60), only_long(-86_400), 86_400])
def test_setting_the_clock_ends_no_incident(place: Namespace, tmp_path: Path, step: int) -> None:
    """The step is simulated: the kernel stamps packets with the clock of the system, which a
    test must not set."""
    (tmp_path / "step").write_text("0")
    with place.entered():
        program = ("-c", PROGRAM_WITH_STEPS, str(tmp_path / "step"))
        live = Capture(tmp_path, "-i", "in", *CONFIG, program=program)
    try:
        live.wait_for_log("started on in")
        replay(place, "vlan-mirror")
        live.wait_for_records(1)
        before = live.records()
        (tmp_path / "step").write_text(str(step))
        replay(place, "http-host")
        live.wait_for_log("the clock of the packets was set; open incidents stay open")
        live.wait_for_records(len(before) + 1)
        assert live.closed() == []
        assert live.stop() == 0
    finally:
        live.kill()
    closed = {record["id"] for record in live.closed()}
    assert closed == {record["id"] for record in live.records()}


def test_a_worker_that_gets_no_cpu_shows_no_step_of_the_clock(
    place: Namespace, tmp_path: Path
) -> None:
    """Packets wait in the ring for longer than a step has to be, and are then read in a burst."""
    with place.entered():
        live = Capture(tmp_path, "-i", "in", *CONFIG, program=("-c", PROGRAM_WITH_SHORT_STEPS))
    try:
        live.wait_for_log("started on in")
        replay(place, "http-host")
        live.wait_for_records(1)
        (worker,) = live.workers()
        os.kill(worker, signal.SIGSTOP)
        replay(place, "vlan-mirror")
        time.sleep(3.5)
        os.kill(worker, signal.SIGCONT)
        live.wait_for_records(2)
        replay(place, "office-day")
        live.wait_for_records(4)
        assert live.stop() == 0
    finally:
        live.kill()
    assert "the clock of the packets was set" not in live.log()


@pytest.mark.alone
def test_reloads_under_load_miss_no_packet(place: Namespace, tmp_path: Path) -> None:
    """Lookups are sent during every reload, and each of them is counted."""
    text = (ROOT / "pcaps" / "netwatch.yaml").read_text()
    (tmp_path / "devices.csv").write_text("id,ip\nlab-07,10.20.7.7\n")
    site = tmp_path / "site.yaml"
    site.write_text(text)
    with place.entered():
        live = Capture(tmp_path, "-i", "in", "-c", str(site))
    sender = place.sender("out")
    sent = 0
    try:
        live.wait_for_log("started on in")
        for number in range(1, RELOADS + 1):
            site.write_text(f"{text}\nsensor: {{name: sensor-{number}}}\n")
            live.process.send_signal(signal.SIGHUP)

            def is_reloaded(number: int = number) -> bool:
                nonlocal sent
                sender.send(ETHERNET.frame(udp(query(sent & 0xFFFF, "www.tiktok.com", "A"))))
                sent += 1
                return live.log().count(" reloaded: ") >= number

            wait_until(is_reloaded, interval=0.002)
        assert live.stop() == 0
    finally:
        sender.close()
        live.kill()
    opened, *_, closed = live.records()
    assert (opened["status"], closed["status"]) == ("open", "closed")
    assert closed["counts"]["lookups"] == sent > RELOADS
    assert opened["sensor"]["policy"] != closed["sensor"]["policy"]
    assert "dropped" not in live.log()


def test_privileges_are_dropped_and_packets_still_captured(
    place: Namespace, open_folder: Path
) -> None:
    with place.entered():
        live = Capture(open_folder, "-i", "in", *CONFIG, "--user", "nobody", "--fanout", "2")
    try:
        live.wait_for_log("started on in")
        for pid in (live.process.pid, *live.workers()):
            status = Path(f"/proc/{pid}/status").read_text()
            assert "CapEff:\t0000000000000000" in status
            assert "Uid:\t0\t" not in status
        replay(place, "vlan-mirror")
        live.wait_for_records(1)
        assert live.stop() == 0
    finally:
        live.kill()


@needs("setpriv")
def test_cap_net_raw_is_enough(place: Namespace, tmp_path: Path) -> None:
    rights = "-all,+net_raw"
    under = ("setpriv", f"--inh-caps={rights}", f"--bounding-set={rights}", "--no-new-privs")
    with place.entered():
        live = Capture(tmp_path, "-i", "in", *CONFIG, "--fanout", "2", under=under)
    try:
        live.wait_for_log("started on in")
        for pid in (live.process.pid, *live.workers()):
            assert "CapEff:\t0000000000002000" in Path(f"/proc/{pid}/status").read_text()
        replay(place, "vlan-mirror")
        live.wait_for_records(1)
        assert live.stop() == 0
    finally:
        live.kill()


def test_silence_on_the_wire_closes_an_incident(place: Namespace, tmp_path: Path) -> None:
    text = (ROOT / "pcaps" / "netwatch.yaml").read_text().replace("quiet_gap: 30m", "quiet_gap: 1s")
    (tmp_path / "devices.csv").write_text("id,ip\nlab-07,10.20.7.7\n")
    (tmp_path / "site.yaml").write_text(text)
    with place.entered():
        live = Capture(tmp_path, "-i", "in", "-c", str(tmp_path / "site.yaml"))
    try:
        live.wait_for_log("started on in")
        replay(place, "vlan-mirror")
        wait_until(live.closed)
        assert live.stop() == 0
        assert len(live.closed()) == 1
    finally:
        live.kill()
