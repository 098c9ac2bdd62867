"""Flow records of real exporters over traffic whose flows are known."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap
from support.flow_messages import FLOW, flow, ipfix, set_of, template
from support.logs import items_of
from support.ports import free_port
from support.waiting import wait_until

from netwatch.capture.files import CaptureFile
from netwatch.core.addresses import ip_text
from netwatch.core.statistics import RunStatistics
from netwatch.logs import LogOptions
from netwatch.logs.live.feed import LogFeed
from netwatch.logs.live.receivers import Receivers
from netwatch.logs.live.source import parse
from netwatch.logs.recognise import recognise
from netwatch.logs.records import LogFlow, LogFlows

BEGIN = 1_795_946_400
SENT = {
    ("tcp", "10.20.6.20:40100", "192.0.2.81:443"): (517, 42_000),
    ("tcp", "2001:db8:20::14:40300", "2001:db8:99::7:443"): (700, 14_000),
    ("udp", "10.20.6.20:50000", "192.0.2.81:443"): (1200, 2400),
}
"""The flows, and the payload of both sides."""


def packets() -> Iterator[Packet]:
    """The packets of these flows."""
    for number, ((transport, client, server), sizes) in enumerate(SENT.items()):
        (source, sport), (destination, dport) = (end.rsplit(":", 1) for end in (client, server))
        network = IPv6 if ":" in source else IP
        out = Ether() / network(src=source, dst=destination)
        back = Ether() / network(src=destination, dst=source)
        ports = {"sport": int(sport), "dport": int(dport)}
        turned = {"sport": int(dport), "dport": int(sport)}
        if transport == "udp":
            found = [out / UDP(**ports) / Raw(bytes(sizes[0]))]
            found += [back / UDP(**turned) / Raw(bytes(1200))] * 2
        else:
            found = [out / TCP(flags="S", **ports), back / TCP(flags="SA", **turned)]
            found += [out / TCP(flags="PA", **ports) / Raw(bytes(sizes[0]))]
            found += [back / TCP(flags="A", **turned) / Raw(bytes(1400))] * (sizes[1] // 1400)
            found += [out / TCP(flags="FA", **ports), back / TCP(flags="FA", **turned)]
        for place, packet in enumerate(found):
            # Copies: one packet stands for several.
            timed = packet.copy()
            timed.time = BEGIN + number + place / 100
            yield timed


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("flows") / "sent.pcap"
    wrpcap(str(path), list(packets()))
    return path


@pytest.fixture
def receivers() -> Receivers:
    return Receivers([parse("udp://:0")])


@pytest.fixture
def feed(receivers: Receivers) -> Iterator[LogFeed]:
    with closing(LogFeed([], receivers, LogOptions(), RunStatistics(), {})) as opened:
        yield opened


def needs(program: str) -> pytest.MarkDecorator:
    """Skip where a program is not installed."""
    return pytest.mark.skipif(not shutil.which(program), reason=f"needs {program}")


def check(flows: Sequence[LogFlow]) -> None:
    """The flows are those that were sent. How many bytes of TCP are payload is an estimate."""
    found = {}
    for each in flows:
        ends = [f"{ip_text(end.ip or b'')}:{end.port}" for end in (each.client, each.server)]
        found[each.transport, *ends] = each.bytes_out, each.bytes_in
    assert found.keys() == SENT.keys()
    for key, (out, back) in SENT.items():
        assert found[key] == (pytest.approx(out, abs=120), pytest.approx(back, rel=0.05))


def received(feed: LogFeed, count: int = len(SENT)) -> list[LogFlow]:
    """What arrives of these flows, of which there are so many."""
    flows: list[LogFlow] = []

    def is_all() -> bool:
        entries = [item.entry for item in feed.read(0.05)]
        for entry in entries:
            if isinstance(entry, LogFlows):
                flows.extend(entry.flows())
        return len(flows) >= count

    wait_until(is_all)
    return flows


def export(capture: Path, port: int, version: str) -> None:
    """Let softflowd send the flows of a capture."""
    command = ["softflowd", "-r", str(capture), "-n", f"127.0.0.1:{port}", "-v", version, "-d"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@needs("softflowd")
@pytest.mark.parametrize("version", ["9", "10"])
def test_softflowd(capture: Path, receivers: Receivers, feed: LogFeed, version: str) -> None:
    export(capture, receivers.ports[0], version)
    check(received(feed))


@needs("pmacctd")
@pytest.mark.parametrize("version", ["9", "10"])
def test_pmacct(
    capture: Path, receivers: Receivers, feed: LogFeed, tmp_path: Path, version: str
) -> None:
    configuration = tmp_path / "pmacctd.conf"
    configuration.write_text(
        f"daemonize: false\npcap_savefile: {capture}\n"
        "aggregate: src_host, dst_host, src_port, dst_port, proto, tcpflags\n"
        f"plugins: nfprobe\nnfprobe_receiver: 127.0.0.1:{receivers.ports[0]}\n"
        f"nfprobe_version: {version}\n"
    )
    with subprocess.Popen(["pmacctd", "-f", str(configuration)], stderr=subprocess.DEVNULL) as run:
        try:
            flows = received(feed)
        finally:
            run.kill()
    check(flows)
    assert min(flow.first for flow in flows) == BEGIN * 10**9


def queue(port: int) -> int | None:
    """The bytes that wait at a UDP port of this machine, None where nobody listens."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            return int(fields[4].rpartition(":")[2], 16)
    return None


def collected(send: Callable[[int], None], folder: Path) -> Path:
    """A file of nfcapd with the flows that are sent to a port."""
    port = free_port(socket.SOCK_DGRAM)
    collector = ["nfcapd", "-p", str(port), "-b", "127.0.0.1", "-w", str(folder), "-t", "3600"]
    with subprocess.Popen(collector, stderr=subprocess.DEVNULL) as run:
        try:
            wait_until(lambda: queue(port) is not None)
            send(port)
            wait_until(lambda: queue(port) == 0)
        finally:
            run.terminate()
    (path,) = folder.glob("nfcapd.2*")
    return path


@needs("softflowd")
@needs("nfcapd")
@needs("nfdump")
def test_nfcapd(capture: Path, tmp_path: Path) -> None:
    path = collected(lambda port: export(capture, port, "9"), tmp_path)
    check([item.entry for item in items_of(path, "nfcapd")])
    printed = tmp_path / "flows.json"
    with printed.open("wb") as to:
        command = ["nfdump", "-q", "-r", str(path), "-o", "json"]
        subprocess.run(command, check=True, stdout=to, timeout=60, env=os.environ | {"TZ": "UTC"})
    assert recognise(CaptureFile(str(printed))).format == "nfdump-json"
    statistics = RunStatistics()
    check([item.entry for item in items_of(printed, "nfdump-json", statistics=statistics)])
    assert not statistics.unread


@needs("nfcapd")
@needs("nfreplay")
@pytest.mark.parametrize("version", ["5", "9"])
def test_nfreplay(receivers: Receivers, feed: LogFeed, tmp_path: Path, version: str) -> None:
    """The messages of nfdump 1.7 have wrong times, those of version 9 a day before their flows."""
    begin = int(time.time()) - 60
    back = {"source": b"\xc0\0\2\1", "destination": b"\x0a\x14\6\x14", "source_port": 443,
            "destination_port": 40000}  # fmt: skip
    times = {"first": begin * 1000, "last": begin * 1000 + 500}
    message = ipfix(
        set_of(2, template(256, *FLOW)), set_of(256, flow(**times), flow(**times, **back)),
        seconds=begin + 1,
    )  # fmt: skip

    def send(port: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            sending.sendto(message, ("127.0.0.1", port))

    path, port = collected(send, tmp_path), str(receivers.ports[0])
    command = ["nfreplay", "-r", str(path), "-H", "127.0.0.1", "-p", port, "-v", version]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    (found,) = received(feed, 1)
    assert (ip_text(found.client.ip or b""), found.server.port) == ("10.20.6.20", 443)
    assert (found.first, found.last) == (begin * 10**9, begin * 10**9 + 500_000_000)
