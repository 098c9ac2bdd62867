"""scapy's sniffing gives what the ring gives."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from support import observing as wire
from support.captures import dissector, observed, timed
from support.frames import ETHERNET, LINKS, udp
from support.namespaces import Namespace, frames_of, namespace, needs_namespaces
from support.paths import PCAPS

from netwatch.capture import interfaces
from netwatch.capture.block import FIELDS, TIME, Block
from netwatch.capture.files import open_source
from netwatch.capture.scapy_source import ScapySource
from netwatch.core.errors import CaptureError

SAMPLE = PCAPS / "vlan-mirror.pcap"
TURNS = 100

pytestmark = needs_namespaces


@pytest.fixture(scope="module")
def net() -> Iterator[Namespace]:
    with namespace() as made:
        made.pair("in0", "out0", 9000)
        made.pair("in1", "out1", 9000)
        yield made


def opened(net: Namespace, *names: str, **options: object) -> ScapySource:
    with net.entered():
        return ScapySource(names or ("out0",), **options)


def send(net: Namespace, into: str, *frames: bytes) -> None:
    with contextlib.closing(net.sender(into)) as sender:
        sender.send(*frames)


def taken(source: ScapySource) -> list[Block]:
    source.stop()
    return [block for block in source.blocks() if block.count]


def test_what_goes_in_comes_out(net: Namespace) -> None:
    frames = [ETHERNET.frame(udp(bytes([n]) * n)) for n in range(1, 200)]
    frames += [link.frame(udp(b"tagged" * 9)) for link in LINKS if link.vlan]
    frames += [ETHERNET.frame(udp(bytes(8900)))]
    before = time.time_ns()
    source = opened(net)
    send(net, "in0", *frames)
    blocks = taken(source)
    assert frames_of(blocks) == frames
    assert source.received == len(frames)
    assert (source.dropped, source.freezes, source.notes) == (0, 0, [])
    times = [block.records[n * FIELDS + TIME] for block in blocks for n in range(block.count)]
    assert times == sorted(times)
    # The clock of scapy is a float: some hundred nanoseconds are lost.
    assert before - 1_000_000 < times[0] <= times[-1] < time.time_ns() + 1_000_000
    assert [block.first for block in blocks] == [
        1 + sum(each.count for each in blocks[:n]) for n in range(len(blocks))
    ]
    assert blocks[0].interfaces[0] == interfaces_of("out0")


def interfaces_of(name: str) -> object:
    from netwatch.capture.block import Interface

    return Interface(interfaces.ETHERNET, 6, name)


def test_names_are_those_of_the_file(net: Namespace) -> None:
    whole = [
        (block.records[at], bytes(block.data[block.records[at + 1] :][: block.records[at + 2]]))
        for block in open_source(str(SAMPLE)).blocks()
        for at in range(0, block.count * FIELDS, FIELDS)
    ]
    source = opened(net)
    send(net, "in0", *(frame for _, frame in whole))
    reader, found = dissector(), []
    for block in taken(source):
        for pair in reader.messages(block, "out0"):
            found += wire.observe(*pair)
    found += [each for pair in reader.flush() for each in wire.observe(*pair)]

    def reported(each):
        return each.evidence, each.name, each.client_ip, each.vlan

    expected = observed(timed([frame for _, frame in whole]))
    assert len(expected) > 0
    assert list(map(reported, found)) == list(map(reported, expected))


def test_several_interfaces(net: Namespace) -> None:
    source = opened(net, "out0", "out1")
    send(net, "in1", ETHERNET.frame(udp(b"one")))
    send(net, "in0", ETHERNET.frame(udp(b"two")))
    blocks = taken(source)
    assert {block.interfaces[0].name: block.count for block in blocks} == {"out0": 1, "out1": 1}


def test_loopback_shows_each_packet_once(net: Namespace) -> None:
    source = opened(net, "lo")
    with net.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
        talk.bind(("127.0.0.1", 0))
        talk.sendto(b"once", talk.getsockname())
    found = frames_of(taken(source))
    assert sum(packet.endswith(b"once") for packet in found) == 1


@pytest.mark.parametrize("outgoing", [True, False])
def test_what_the_host_sends(net: Namespace, outgoing: bool) -> None:
    source = opened(net, "in0", outgoing=outgoing)
    send(net, "in0", ETHERNET.frame(udp(b"sent")))
    assert len(frames_of(taken(source))) == outgoing


def test_snap_length(net: Namespace) -> None:
    source = opened(net, snaplen=60)
    send(net, "in0", ETHERNET.frame(udp(bytes(500))))
    assert [len(packet) for packet in frames_of(taken(source))] == [60]


def test_empty_blocks_are_yielded_without_packets(net: Namespace) -> None:
    source = opened(net)
    blocks = source.blocks()
    assert [next(blocks).count for _ in range(2)] == [0, 0]
    stopper = threading.Thread(target=source.stop)
    stopper.start()
    stopper.join()
    assert [block.count for block in blocks] == []
    source.close()


def test_drops_are_reported(net: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.capture.scapy_source.RECEIVE_BUFFER", 4096)
    source = opened(net)
    send(net, "in0", *[ETHERNET.frame(udp(bytes(1000)))] * 100)
    got = len(frames_of(taken(source)))
    assert source.dropped > 0
    assert got + source.dropped == 100


def test_down_and_up_again() -> None:
    with namespace() as own:
        own.pair("in0", "out0")
        source = opened(own)
        blocks = source.blocks()
        own.ip("link", "set", "out0", "down")
        for _ in range(TURNS):
            if source.events["interface-down"]:
                break
            next(blocks)
        assert source.notes == ["out0: Network is down"]
        assert source.down == ("out0",)
        own.ip("link", "set", "out0", "up")
        own.wait_for_links("in0", "out0")
        frame = ETHERNET.frame(udp(b"again"))
        send(own, "in0", frame)
        found = []
        for _ in range(TURNS):
            found = found or frames_of([next(blocks)])
        assert found == [frame]
        assert source.down == ()
        own.ip("link", "del", "in0")
        own.pair("in0", "out0")
        assert source.down == ("out0",)  # another one of that name
        blocks.close()


def test_detached_in_one_process_it_continues_in_another(net: Namespace) -> None:
    source = opened(net)
    child = os.fork()
    if not child:
        source.detach()
        source.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    frame = ETHERNET.frame(udp(b"still here"))
    send(net, "in0", frame)
    assert frames_of(taken(source)) == [frame]


def test_invalid_arguments(net: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CaptureError, match="expected at least one interface"):
        ScapySource([])
    with pytest.raises(CaptureError, match="none0: no such interface"):
        opened(net, "none0")
    os.seteuid(65534)
    try:
        with pytest.raises(CaptureError, match="`netwatch doctor` shows how"):
            ScapySource(["lo"])
    finally:
        os.seteuid(0)
    monkeypatch.setattr("netwatch.capture.scapy_source._TUNNELS", {1})
    with pytest.raises(CaptureError, match="out0: is a tunnel, which only the source ring"):
        opened(net, "out0")
