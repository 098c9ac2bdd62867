"""What goes into a veth comes out of the ring, whatever happens to the interface."""

import contextlib
import fcntl
import os
import random
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import bpf_machine
from support import observing as wire
from support.captures import dissector, observed, timed
from support.frames import ETHERNET, LINKS, tcp, udp
from support.namespaces import (
    Namespace,
    frames_of,
    missing_requirements,
    namespace,
    needs_namespaces,
)
from support.paths import PCAPS
from support.traffic import mixed
from support.waiting import wait_until

from netwatch.capture import interfaces
from netwatch.capture import kernel_filter as bpf
from netwatch.capture import ring_source as rings
from netwatch.capture.block import CAPTURED, FIELDS, IDLE_INTERVAL, TIME, VLAN, WIRE, Block
from netwatch.capture.files import open_source
from netwatch.capture.ring_source import TIMEOUT, RingSource, open_worker_sources
from netwatch.core.errors import CaptureError

SAMPLES = sorted(PCAPS.glob("*.pcap"))
TURNS = 300
"""Turns of at most `IDLE_INTERVAL` milliseconds that a test waits for something."""

pytestmark = needs_namespaces


@pytest.fixture(scope="module")
def net() -> Iterator[Namespace]:
    if missing_requirements():
        pytest.skip(missing_requirements())
    with namespace() as made:
        made.pair("in0", "out0", 9000)
        made.pair("in1", "out1", 9000)
        yield made


@pytest.fixture
def own() -> Iterator[Namespace]:
    """A namespace in which a test may break things."""
    with namespace() as made:
        made.pair("in0", "out0")
        yield made


@pytest.fixture
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "_STATE_INTERVAL", 0.01)


def opened(net: Namespace, *names: str, **options: object) -> RingSource:
    with net.entered():
        return RingSource(names or ("out0",), **{"filtered": False, **options})


def taken(source: RingSource, work: Callable[[], None] = lambda: None) -> list[Block]:
    """The packets that come in while `work` is done, each block with a copy of its bytes."""
    work()
    source.stop()
    return [copied(block) for block in source.blocks() if block.count]


def copied(block: Block) -> Block:
    records = block.records[: block.count * FIELDS]
    return Block(
        bytes(block.data), records, block.count, block.interfaces, block.first, block.position
    )


def sent(net: Namespace, into: str, *frames: bytes) -> Callable[[], None]:
    def send() -> None:
        with contextlib.closing(net.sender(into)) as sender:
            sender.send(*frames)

    return send


def file_frames(path: Path) -> list[bytes]:
    return frames_of(map(copied, open_source(str(path)).blocks()))


# what goes in comes out


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_capture_comes_out_as_it_is(net: Namespace, path: Path) -> None:
    frames = file_frames(path)
    source = opened(net)
    blocks = taken(source, sent(net, "in0", *frames))
    assert frames_of(blocks) == frames
    assert source.received == len(frames)
    assert source.dropped == 0
    assert source.notes == []


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_names_are_those_of_the_file(net: Namespace, path: Path) -> None:
    """With the filter, by the packet loop on the ring's own memory."""
    frames = file_frames(path)
    reader, found = dissector(), []
    source = opened(net, filtered=True)
    sent(net, "in0", *frames)()
    source.stop()
    for block in source.blocks():
        for pair in reader.messages(block, block.interfaces[0].name):
            found += wire.observe(*pair)
    found += [each for pair in reader.flush() for each in wire.observe(*pair)]
    whole = observed(timed(frames))
    assert len(found) > 0

    def reported(each):
        return (
            each.evidence,
            each.name,
            each.client_ip,
            each.client_mac,
            each.vlan,
            each.flow_id and 1,
        )

    assert list(map(reported, found)) == list(map(reported, whole))
    assert {each.source for each in found} == {"out0"}


def test_times_lengths_and_numbers(net: Namespace) -> None:
    before = time.time_ns()
    frames = [ETHERNET.frame(udp(bytes(n))) for n in range(1, 500)]
    blocks = taken(opened(net), sent(net, "in0", *frames))
    after = time.time_ns()
    number, last, place = 1, before, 0
    for block in blocks:
        assert block.first == number
        assert block.position > place
        number, place = number + block.count, block.position
        for at in range(0, block.count * FIELDS, FIELDS):
            assert last <= block.records[at + TIME] <= after
            last = block.records[at + TIME]
            assert block.records[at + CAPTURED] == block.records[at + WIRE]
            assert block.records[at + VLAN] == -1
    assert number == 500


@pytest.mark.parametrize("size", [1500, 8950])
def test_jumbo_frames(net: Namespace, size: int) -> None:
    frame = ETHERNET.frame(udp(random.Random(size).randbytes(size - 28)))
    assert frames_of(taken(opened(net), sent(net, "in0", frame))) == [frame]


def test_largest_packets_of_loopback(net: Namespace) -> None:
    frame = bytes(12) + b"\x08\0" + udp(bytes(65000))
    assert frames_of(taken(opened(net, "lo"), sent(net, "lo", frame))) == [frame]


def test_a_packet_larger_than_a_block_is_truncated(net: Namespace) -> None:
    source = opened(net, block_size=4096, blocks=64)
    frame = ETHERNET.frame(udp(bytes(6000)))
    (block,) = taken(source, sent(net, "in0", frame))
    assert 3000 < block.records[CAPTURED] < 4096
    assert block.records[WIRE] == len(frame)


def test_snap_length(net: Namespace) -> None:
    frame = ETHERNET.frame(udp(bytes(1000)))
    (block,) = taken(opened(net, snaplen=100), sent(net, "in0", frame))
    assert block.records[CAPTURED : WIRE + 1].tolist() == [100, len(frame)]


@pytest.mark.parametrize("link", [link for link in LINKS if link.vlan], ids=lambda link: link.name)
def test_tags_are_in_the_record_or_the_packet(net: Namespace, link) -> None:
    frame = link.frame(udp(bytes(40)))
    (block,) = taken(opened(net), sent(net, "in0", frame))
    assert frames_of([block]) == [frame]
    if link.name != "qinq-9100":  # a TPID that the kernel does not strip
        assert block.records[VLAN] == int.from_bytes(frame[12:16], "big")


def test_the_kernel_filters_as_the_program_says(net: Namespace) -> None:
    frames = [frame for _, frame in mixed().frames]
    frames += [ETHERNET.frame(udp(b"\x41" * 900, sport=443, dport=50000))]
    frames += [ETHERNET.frame(tcp(flags="A")), ETHERNET.frame(tcp(flags="FA"))]
    program = bpf.program(interfaces.ETHERNET, 262144)
    expected = [frame[: bpf_machine.run(program, frame)] for frame in frames]
    source = opened(net, filtered=True)
    blocks = taken(source, sent(net, "in0", *frames))
    assert frames_of(blocks) == [frame for frame in expected if frame]
    assert 0 < source.received < len(frames)


# which packets


def test_several_interfaces(net: Namespace) -> None:
    source = opened(net, "out0", "out1")
    frames = [ETHERNET.frame(udp(bytes([n]) * 20)) for n in range(4)]

    def work() -> None:
        for n, frame in enumerate(frames):
            sent(net, f"in{n // 2}", frame)()

    blocks = taken(source, work)
    assert source.name == "out0,out1"
    for n in range(2):
        of_one = [block for block in blocks if block.interfaces[0].name == f"out{n}"]
        assert frames_of(of_one) == frames[2 * n : 2 * n + 2]
    assert sum(block.count for block in blocks) == 4
    firsts = [block.first for block in blocks]
    assert firsts == [1 + sum(each.count for each in blocks[:n]) for n in range(len(blocks))]


def test_few_blocks_carry_many_packets(net: Namespace) -> None:
    """A wake-up costs more than the packets of a small block."""
    frame = ETHERNET.frame(udp(bytes(1000)))
    blocks = taken(opened(net), sent(net, "in0", *[frame] * 3000))
    assert sum(block.count for block in blocks) == 3000
    assert len(blocks) <= 8


@pytest.mark.parametrize(
    ("size", "blocks", "block_size"),
    [(64, 16, 4096), (256, 64, 4096), (63, 31, 2048), (8, 16, 512), (2, 8, 256), (1, 4, 256)],
)
def test_a_small_ring_has_as_many_blocks(size: int, blocks: int, block_size: int) -> None:
    assert rings.blocks_of(size << 20) == (blocks, block_size << 10)
    assert rings.blocks_of(256 << 10) == (2, 256 << 10)


def test_of_blocks_that_wait_the_oldest_goes_first(net: Namespace) -> None:
    source = opened(net, "out0", "out1", timeout=1)
    blocks = source.blocks()
    next(blocks)
    for n in (1, 0, 1, 0):
        sent(net, f"in{n}", ETHERNET.frame(udp(bytes(40))))()
        wait_until(
            lambda n=n: (
                source._rings[n].next_block_time() and (n or source._rings[1].next_block_time())
            )
        )
    times = [block.records[TIME] for _, block in zip(range(4), blocks, strict=False)]
    assert times == sorted(times)
    blocks.close()


@pytest.mark.parametrize("outgoing", [True, False])
def test_what_the_host_sends(net: Namespace, outgoing: bool) -> None:
    frame = ETHERNET.frame(udp(b"sent by this host"))
    source = opened(net, "in0", outgoing=outgoing)
    assert frames_of(taken(source, sent(net, "in0", frame))) == [frame] * outgoing


def test_loopback_shows_each_packet_once(net: Namespace) -> None:
    def work() -> None:
        with net.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
            talk.bind(("127.0.0.1", 0))
            talk.sendto(b"once", talk.getsockname())

    blocks = taken(opened(net, "lo"), work)
    assert sum(packet.endswith(b"once") for packet in frames_of(blocks)) == 1
    assert blocks[0].interfaces[0].link_type == 1


@pytest.mark.parametrize("promiscuous", [True, False])
def test_promiscuous_mode_is_entered_and_left(net: Namespace, promiscuous: bool) -> None:
    source = opened(net, promiscuous=promiscuous)
    assert f"promiscuity {int(promiscuous)} " in net.ip("-d", "link", "show", "out0")
    source.close()
    assert "promiscuity 0 " in net.ip("-d", "link", "show", "out0")


def test_a_tun_is_raw_ip(own: Namespace) -> None:
    own.ip("tuntap", "add", "dev", "tun0", "mode", "tun")
    own.ip("link", "set", "tun0", "up")
    packet = udp(b"through a tunnel")
    with own.entered(), open("/dev/net/tun", "r+b", buffering=0) as tun:  # noqa: PTH123
        fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001))
        source = opened(own, "tun0", filtered=True)
        tun.write(packet)
        (block,) = taken(source)
    assert block.interfaces[0].link_type == interfaces.RAW
    assert frames_of([block]) == [packet]


# workers


def test_workers_share_by_flow(net: Namespace) -> None:
    frames = []
    for port in range(40000, 40064):
        client, server = ("10.20.1.7", port), ("203.0.113.10", 443)
        for (src, sport), (dst, dport) in ((client, server), (server, client)):
            frames.append(ETHERNET.frame(tcp(b"data", src=src, sport=sport, dst=dst, dport=dport)))
    with net.entered():
        sources = open_worker_sources(["out0"], 3, filtered=False)
    sent(net, "in0", *frames)()
    shares = [frames_of(taken(source)) for source in sources]
    assert sorted(frame for share in shares for frame in share) == sorted(frames)
    assert sum(map(bool, shares)) > 1
    flows = [{frozenset((frame[34:36], frame[36:38])) for frame in share} for share in shares]
    assert sum(map(len, flows)) == 64


def test_a_worker_is_a_process_of_its_own(net: Namespace) -> None:
    with net.entered():
        sources = open_worker_sources(["out0", "out1"], 2, filtered=False)
    frames = [ETHERNET.frame(udp(bytes([n]) * 9, sport=30000 + n)) for n in range(64)]
    ends = []
    for source in sources:
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                count = 0
                for block in source.blocks():
                    count += block.count
                    if block.count == 0 and count:
                        source.stop()
                os.write(into, str(count).encode())
                status = 0
            finally:
                os._exit(status)
        os.close(into)
        ends.append((child, out))
    for source in sources:
        source._closed = True  # the workers have them
    sent(net, "in0", *frames[:32])()
    sent(net, "in1", *frames[32:])()
    counts = []
    for child, out in ends:
        _, status = os.waitpid(child, 0)
        assert status == 0
        counts.append(int(os.read(out, 99)))
        os.close(out)
    assert sum(counts) == 64
    assert all(counts)
    for source in sources:
        source._closed = False
        source.close()


def test_a_group_of_another_interface_is_refused(net: Namespace) -> None:
    groups: dict[str, int] = {}
    source = opened(net, "out0", fanout=groups)
    with (
        net.entered(),
        pytest.raises(CaptureError, match="out1: the kernel cannot create a fanout group"),
    ):
        RingSource(["out1"], fanout={"out1": groups["out0"]})
    source.close()


def test_no_more_workers_than_memory_for_their_rings(net: Namespace) -> None:
    with net.entered(), pytest.raises(CaptureError, match="half of the memory"):
        open_worker_sources(["out0"], 1 << 30)


# how it runs


def test_drops_and_freezes_are_reported(net: Namespace) -> None:
    source = opened(net, block_size=4096, blocks=2)
    frames = [ETHERNET.frame(udp(bytes(500)))] * 200
    blocks = taken(source, sent(net, "in0", *frames))
    assert source.dropped > 100
    assert source.freezes > 0
    assert source.received == sum(block.count for block in blocks) == 200 - source.dropped


def test_the_ring_wraps_around(net: Namespace) -> None:
    source = opened(net, block_size=4096, blocks=4, timeout=1)
    sender = net.sender("in0")
    frames = [ETHERNET.frame(udp(n.to_bytes(2) * 200)) for n in range(60)]
    found = []
    blocks = source.blocks()
    for frame in frames:
        sender.send(frame)
        while len(found) == 0 or found[-1] != frame:
            found += frames_of([next(blocks)])
    assert found == frames
    blocks.close()
    sender.close()


def test_packets_that_wait_behind_a_block_are_counted(net: Namespace) -> None:
    source = opened(net, block_size=4096, blocks=8, timeout=1)
    sent(net, "in0", *[ETHERNET.frame(udp(bytes(500)))] * 25)()
    blocks = source.blocks()
    wait_until(lambda: source.waiting() == 25)
    left = 25
    while left:
        block = next(blocks)
        left -= block.count
        assert source.waiting() == left
    blocks.close()


def test_empty_blocks_are_yielded_without_packets(net: Namespace) -> None:
    source = opened(net)
    blocks = source.blocks()
    before = time.monotonic()
    assert [next(blocks).count for _ in range(3)] == [0, 0, 0]
    assert time.monotonic() - before >= 4 * TIMEOUT / 1000
    blocks.close()


def test_stop_from_another_thread_wakes_it(net: Namespace) -> None:
    source = opened(net)
    found = []
    reader = threading.Thread(target=lambda: found.extend(map(copied, source.blocks())))
    reader.start()
    frame = ETHERNET.frame(udp(b"the last"))
    sent(net, "in0", frame)()
    source.stop()
    source.stop()
    reader.join(IDLE_INTERVAL)
    assert not reader.is_alive()
    assert frames_of(found) == [frame]
    source.stop()


def test_no_packet_is_taken_after_stop(net: Namespace) -> None:
    source = opened(net)
    sent(net, "in0", ETHERNET.frame(udp(b"before")))()
    source.stop()
    blocks = source.blocks()
    found = [copied(next(blocks))]
    sent(net, "in0", ETHERNET.frame(udp(b"after")))()
    found += map(copied, blocks)
    assert [packet[42:] for packet in frames_of(found)] == [b"before"]


def test_closed_while_its_memory_is_held(net: Namespace) -> None:
    """As the packet loop does, which keeps the buffer of its last block."""
    source = opened(net)
    sent(net, "in0", ETHERNET.frame(udp(b"held")))()
    blocks = source.blocks()
    held = memoryview(next(blocks).data)[:]
    blocks.close()
    assert b"held" in bytes(held)
    assert "promiscuity 0 " in net.ip("-d", "link", "show", "out0")
    source.close()
    assert source.received == 1


# what becomes of interfaces


def packets_until(source: RingSource, event: str, blocks: Iterator[Block]) -> list[bytes]:
    """The packets that come until something is reported."""
    found = []
    for _ in range(TURNS):
        if source.events[event]:
            return found
        found += frames_of([next(blocks)])
    raise AssertionError(f"never reported: {event}, but {source.notes}")


def come(blocks: Iterator[Block]) -> list[bytes]:
    """The next packets that come."""
    for _ in range(TURNS):
        found = frames_of([next(blocks)])
        if found:
            return found
    raise AssertionError("no packet came")


def test_down_and_up_again(own: Namespace, look_often: None) -> None:
    source = opened(own)
    blocks = source.blocks()
    own.ip("link", "set", "out0", "down")
    packets_until(source, "interface-down", blocks)
    own.ip("link", "set", "out0", "up")
    own.wait_for_links("in0", "out0")
    packets_until(source, "interface-up", blocks)
    frame = ETHERNET.frame(udp(b"again"))
    sent(own, "in0", frame)()
    assert come(blocks) == [frame]
    assert "out0: is down now" in source.notes
    assert "out0: is up now" in source.notes
    blocks.close()


def test_down_when_it_begins(own: Namespace, look_often: None) -> None:
    own.ip("link", "set", "out0", "down")
    source = opened(own)
    assert source.notes == ["out0: is down, it will be captured when it is up"]
    assert source.events == {"interface-down": 1}
    own.ip("link", "set", "out0", "up")
    own.wait_for_links("in0", "out0")
    blocks = source.blocks()
    packets_until(source, "interface-up", blocks)
    frame = ETHERNET.frame(udp(b"up"))
    sent(own, "in0", frame)()
    assert come(blocks) == [frame]
    blocks.close()


def test_a_link_that_is_lost(own: Namespace, look_often: None) -> None:
    source = opened(own)
    blocks = source.blocks()
    own.ip("link", "set", "in0", "down")
    packets_until(source, "interface-no-link", blocks)
    own.ip("link", "set", "in0", "up")
    packets_until(source, "interface-link", blocks)
    blocks.close()


def test_another_mtu(own: Namespace, look_often: None) -> None:
    source = opened(own)
    blocks = source.blocks()
    for name in ("in0", "out0"):
        own.ip("link", "set", name, "mtu", "9000")
    own.wait_for_links("in0", "out0")
    packets_until(source, "interface-mtu", blocks)
    assert "out0: its MTU changed from 1500 to 9000" in source.notes
    frame = ETHERNET.frame(udp(bytes(8900)))
    sent(own, "in0", frame)()
    assert come(blocks) == [frame]
    blocks.close()


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "fanout"])
def test_removed_and_created_again(own: Namespace, look_often: None, shared: bool) -> None:
    source = opened(own, fanout={} if shared else None)
    blocks = source.blocks()
    own.ip("link", "del", "out0")
    packets_until(source, "interface-removed", blocks)
    own.pair("in0", "out0")
    with own.entered():  # where a new socket would be made
        packets_until(source, "interface-back", blocks)
        frame = ETHERNET.frame(udp(b"back"))
        sent(own, "in0", frame)()
        assert come(blocks) == [frame]
    assert "promiscuity 1 " in own.ip("-d", "link", "show", "out0")
    assert "out0: was removed, waiting for it to return" in source.notes
    assert "out0: has returned and is captured again" in source.notes
    blocks.close()


def test_created_again_it_needs_no_privileges(own: Namespace, look_often: None) -> None:
    source = opened(own)
    blocks = source.blocks()
    own.ip("link", "del", "out0")
    packets_until(source, "interface-removed", blocks)
    own.pair("in0", "out0")
    os.seteuid(65534)
    try:
        packets_until(source, "interface-back", blocks)
    finally:
        os.seteuid(0)
    frame = ETHERNET.frame(udp(b"back"))
    sent(own, "in0", frame)()
    assert come(blocks) == [frame]
    blocks.close()


def test_back_as_something_else(own: Namespace, look_often: None) -> None:
    """An Ethernet interface comes back as a tunnel: another kind of socket."""
    source = opened(own)
    blocks = source.blocks()
    own.ip("link", "del", "out0")
    packets_until(source, "interface-removed", blocks)
    own.ip("tuntap", "add", "dev", "out0", "mode", "tun")
    with own.entered():
        packets_until(source, "interface-back", blocks)
    assert source._rings[0].interfaces[0].link_type == interfaces.RAW
    blocks.close()


def test_back_as_what_is_not_read(
    own: Namespace, look_often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(own)
    blocks = source.blocks()
    own.ip("link", "del", "out0")
    packets_until(source, "interface-removed", blocks)
    monkeypatch.delitem(interfaces.LINK_TYPES, 1)
    own.pair("in0", "out0")
    packets_until(source, "interface-refused", blocks)
    assert source.notes[-1] == (
        "out0: has returned but cannot be captured: its new hardware type 1 is not supported"
    )
    assert [next(blocks).count for _ in range(3)] == [0, 0, 0]
    assert source.events["interface-refused"] == 1
    blocks.close()


# what cannot be


@pytest.mark.parametrize("name", ["none0", "", "a-name-that-is-too-long", "a\0b"])
def test_no_such_interface(name: str) -> None:
    with pytest.raises(CaptureError, match=r"no such interface; expected one of .*lo"):
        RingSource([name])


def test_hardware_that_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(interfaces.LINK_TYPES, interfaces.LOOPBACK)
    with pytest.raises(CaptureError, match=r"lo: hardware type 772 .* is not supported"):
        RingSource(["lo"])


def test_without_privileges(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a root process may take back would be taken.
    monkeypatch.setattr(interfaces, "_capabilities", lambda: {"CapEff": 0, "CapPrm": 0})
    os.seteuid(65534)
    try:
        with pytest.raises(CaptureError, match="CAP_NET_RAW is required"):
            RingSource(["lo"])
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("names", "options", "reported"),
    [
        ([], {}, "expected at least one interface"),
        (["lo", "lo"], {}, "duplicate interface lo"),
        (["lo"], {"block_size": 5000}, "a power of two of at least 4096"),
        (["lo"], {"block_size": 2048}, "a power of two of at least 4096"),
        (["lo"], {"blocks": 1 << 16, "block_size": 1 << 40}, "half of the memory"),
        (["lo"], {"blocks": 1}, "blocks: expected 2 to 65536, found 1"),
        (["lo"], {"timeout": 0}, "until a block is passed on: expected 1 to 1000, found 0"),
        (["lo"], {"snaplen": 63}, "bytes of a packet: expected 64 to 262144, found 63"),
    ],
)
def test_options_that_are_invalid(names: list[str], options: dict[str, int], reported: str) -> None:
    with pytest.raises(CaptureError, match=reported):
        RingSource(names, **options)


def test_a_ring_that_finds_no_memory_leaves_nothing_open(net: Namespace) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    limits = resource.getrlimit(resource.RLIMIT_AS)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + (8 << 20), limits[1]))
    try:
        with (
            net.entered(),
            pytest.raises(CaptureError, match="cannot allocate a ring of 67,108,864 bytes"),
        ):
            RingSource(["out0"])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
