"""Live capture as on macOS and FreeBSD: netwatch lacks AF_PACKET, and scapy takes libpcap."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest
from support.frames import ETHERNET, LINKS, udp
from support.lacking import as_on
from support.live import Capture
from support.namespaces import Namespace, frames_of, namespace, needs_namespaces
from support.paths import PCAPS
from support.waiting import wait_until

from netwatch.capture import scapy_source
from netwatch.capture.block import FIELDS, TIME, Block
from netwatch.capture.files import open_source
from netwatch.capture.scapy_source import Listener, ScapySource, open_libpcap
from netwatch.core.errors import CaptureError

pytestmark = [
    needs_namespaces,
    pytest.mark.skipif(find_library("pcap") is None, reason="libpcap is missing"),
]


@pytest.fixture(scope="module")
def net() -> Iterator[Namespace]:
    with namespace() as made:
        made.pair("in0", "out0", 9000)
        made.pair("in1", "out1", 9000)
        yield made


@pytest.fixture(autouse=True)
def libpcap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from scapy.all import conf

    def opened(name: str, promiscuous: bool, outgoing: bool) -> Listener:
        return open_libpcap(name, promiscuous)

    monkeypatch.setattr(scapy_source, "open_listener", opened)
    try:
        yield
    finally:
        conf.use_pcap = False


def listening(net: Namespace, *names: str, **options: object) -> ScapySource:
    with net.entered():
        return ScapySource(names, **options)  # type: ignore[arg-type]


def send(net: Namespace, into: str, *frames: bytes) -> None:
    with contextlib.closing(net.sender(into)) as sender:
        sender.send(*frames)


def taken(source: ScapySource) -> list[Block]:
    source.stop()
    return [block for block in source.blocks() if block.count]


def test_what_goes_in_comes_out(net: Namespace) -> None:
    frames = [ETHERNET.frame(udp(bytes([n % 256]) * (n % 250))) for n in range(3000)]
    frames += [link.frame(udp(b"tagged" * 9)) for link in LINKS if link.vlan]
    before = time.time_ns()
    source = listening(net, "out0")
    send(net, "in0", *frames)
    blocks = taken(source)
    assert frames_of(blocks) == frames
    assert (source.received, source.dropped, source.notes) == (len(frames), 0, [])
    times = [block.records[n * FIELDS + TIME] for block in blocks for n in range(block.count)]
    assert before - 1_000_000 < times[0] <= times[-1] < time.time_ns() + 1_000_000
    assert blocks[0].interfaces[0].link_type == 1


def test_several_interfaces_and_a_snap_length(net: Namespace) -> None:
    source = listening(net, "out0", "out1", snaplen=60)
    send(net, "in1", ETHERNET.frame(udp(bytes(500))))
    send(net, "in0", ETHERNET.frame(udp(b"two")))
    blocks = taken(source)
    assert {block.interfaces[0].name: block.count for block in blocks} == {"out0": 1, "out1": 1}
    cut = next(block for block in blocks if block.interfaces[0].name == "out1")
    assert [*cut.records[2:4]] == [60, len(ETHERNET.frame(udp(bytes(500))))]


def test_loopback_shows_each_packet_once(net: Namespace) -> None:
    source = listening(net, "lo")
    with net.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
        talk.bind(("127.0.0.1", 0))
        talk.sendto(b"once", talk.getsockname())
    assert sum(packet.endswith(b"once") for packet in frames_of(taken(source))) == 1


def test_what_cannot_be_opened(net: Namespace) -> None:
    with pytest.raises(CaptureError, match="none0: no such interface; expected one of lo"):
        listening(net, "none0")
    os.seteuid(65534)
    try:
        with pytest.raises(CaptureError, match=r"lo: .*`netwatch doctor` shows how"):
            ScapySource(["lo"])
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("system", ["darwin", "freebsd14"])
def test_live_reports_what_it_captures(net: Namespace, tmp_path: Path, system: str) -> None:
    frames = frames_of(open_source(str(PCAPS / "five-kinds.pcap")).blocks())
    with net.entered():
        live = Capture(
            tmp_path,
            *("-i", "out0", "-c", str(PCAPS / "netwatch.yaml")),
            environ=as_on(system, tmp_path),
        )
    try:
        live.wait_for_log("started on out0")
        send(net, "in0", *frames)
        wait_until(lambda: len({record["device"]["id"] for record in live.records()}) >= 4)
        assert live.stop() == 0
    finally:
        live.kill()
    names = {name for record in live.closed() for name in record["names"]}
    assert "www.tiktok.com" in names
