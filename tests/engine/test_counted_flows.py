"""Flows that are counted in tables give what flows give that are counted one after the other."""

import random
from collections import Counter
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import handshakes
import messages
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from support.captures import START, Frames, block
from support.examples import examples
from support.flow_oracle import ObjectRecords
from support.frames import tcp, udp
from support.office import CONFIG, TIKTOK, configured

from netwatch import config
from netwatch.capture.block import Block
from netwatch.config import Config
from netwatch.core.statistics import RunStatistics
from netwatch.core.verdict import Contact
from netwatch.coverage.counts import Coverage
from netwatch.dissect import dissector
from netwatch.dissect.flows import accounting
from netwatch.dissect.loop.loop import Loop
from netwatch.engine.engine import Engine
from netwatch.incidents.contacts import ContactProgress

SECOND = 1_000_000_000
GATEWAY = "02:00:5e:00:20:01"
MACS = ("02:00:00:20:01:07", "02:00:00:20:01:08", "02:00:00:30:00:12", GATEWAY)
CLIENTS = ("10.20.1.7", "10.20.1.8", "10.30.4.8", "192.0.2.7", "10.40.0.9", "198.51.100.9")
CLIENTS6 = ("2001:db8:20::7", "2001:db8:20:1::7", "2001:db8:21::7")
SERVERS = ("203.0.113.10", "94.140.14.14", "77.88.8.88", "203.0.113.11")
SERVERS6 = ("2001:db8:ffff::10", "2606:4700:4700::1112")
PORTS = (443, 53, 853, 500, 51820, 1194, 4500, 8443, 22, 40000)
CLIENT_PORTS = (50000, 50001, 51820, 500, 853)
VLANS = (None, None, 30, 77)
HELLOS = tuple(
    handshakes.records(handshakes.client_hello(name, random.Random(1)))
    for name in (TIKTOK, "www.example.org", "dns.google")
)
ANSWERS = tuple(
    messages.answer(7, name, kind, [(name, kind, 60, address)])
    for name, kind, address in (
        (TIKTOK, "A", SERVERS[0]),
        (TIKTOK, "AAAA", SERVERS6[0]),
        ("www.example.org", "A", SERVERS[0]),
        (TIKTOK, "A", SERVERS[1]),
    )
)
LEARNING = CONFIG.replace("inventory: devices.csv", "inventory: devices.csv\n  learn: [arp]")
LEASED = CONFIG.replace(
    "inventory: devices.csv", "inventory: devices.csv\n  leases: [{path: dhcpd.leases}]"
)
LEASES = """lease 10.20.1.7 {
  starts 1 2023/03/20 09:00:00;
  ends 1 2023/03/20 09:00:20;
  hardware ethernet 02:00:00:20:01:07;
  client-hostname "ws-one";
}
lease 192.0.2.7 {
  starts 1 2023/03/20 08:00:00;
  ends 1 2023/03/20 10:00:00;
  hardware ethernet 02:00:00:20:01:08;
}
"""
VLAN_ALONE = CONFIG.replace("vlans: [30]", "vlans: [30]").replace(
    "  - {name: guest", "  - {name: floor, vlans: [77], class: guest}\n  - {name: guest"
)
TEXTS = {
    "sample": CONFIG,
    "learning": LEARNING,
    "leases": LEASED,
    "both": LEARNING.replace("  learn:", "  leases: [{path: dhcpd.leases}]\n  learn:"),
    "vlans": VLAN_ALONE,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the configurations name."""
    folder = tmp_path_factory.mktemp("office")
    (folder / "dhcpd.leases").write_text(LEASES)
    return folder


@cache
def loaded(folder: Path, kind: str) -> Config:
    """A configuration with one kind of devices."""
    return config.load(configured(folder, TEXTS[kind]))


class Collector:
    """All that becomes of contacts, in order."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def add(self, contact: Contact) -> None:
        self.events.append(contact)

    def add_sender(self, contact: Contact) -> None: ...

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None = None
    ) -> None:
        self.events.append((contact, progress, bans))


TCP_KINDS = ("syn", "syn", "syn-ack", "rst", "data", "back", "hello", "half", "rest", "cut")
KINDS = (*TCP_KINDS, "udp", "udp-back", "answer", "answer", "claim", "claim")
GAPS = (*[0] * 9, *[SECOND] * 9, 10 * SECOND, 30 * SECOND, 700 * SECOND)


class Packet(NamedTuple):
    """A packet: its kind, its two ends, its tag, and the time since the one before, in ns."""

    kind: str
    client: str
    server: int
    port: int
    client_port: int
    vlan: int | None
    mac: str
    gap: int


def packets(seed: int, count: int) -> list[Packet]:
    """Packets between a few ends, so that they have much to do with each other."""
    rng = random.Random(seed)
    clients = rng.sample((*CLIENTS, *CLIENTS6), rng.randint(1, 3))
    servers, macs = rng.sample(range(6), rng.randint(1, 2)), rng.sample(MACS, rng.randint(1, 2))
    ports = rng.sample(PORTS, rng.randint(1, 3))
    client_ports = rng.sample(CLIENT_PORTS, rng.randint(1, 2))
    vlans = rng.sample(VLANS, rng.randint(1, 2))
    kinds = rng.choice((KINDS, KINDS, ("syn", "claim"), ("hello", "claim"), ("syn", "answer")))
    return [
        Packet(
            rng.choice(kinds),
            rng.choice(clients),
            rng.choice(servers),
            rng.choice(ports),
            rng.choice(client_ports) + rng.choice((0, 0, rng.randrange(9))),
            rng.choice(vlans),
            rng.choice(macs),
            rng.choice(GAPS),
        )
        for _ in range(count)
    ]


def frame(packet: Packet, number: int) -> bytes:
    """A packet as a frame."""
    kind, ours, server, port, client_port, vlan, mac, _ = packet
    far = (SERVERS6 if ":" in ours else SERVERS)[server % (2 if ":" in ours else 4)]
    out = {"src": ours, "dst": far, "sport": client_port, "dport": port}
    back = {"src": far, "dst": ours, "sport": port, "dport": client_port}
    tag = Dot1Q(vlan=vlan) if vlan else None
    from_client = kind not in ("syn-ack", "rst", "back", "udp-back", "answer")
    ends = (mac, GATEWAY) if from_client else (GATEWAY, mac)
    if kind == "claim":
        if ":" in ours:
            claim = IPv6(src=ours, dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=ours, R=0)
            claim /= ICMPv6NDOptDstLLAddr(lladdr=mac)
        else:
            claim = ARP(op=2, hwsrc=mac, psrc=ours, pdst=ours)
        head = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff")
        return bytes(head / tag / claim if tag else head / claim)
    hello = HELLOS[server % 3]
    seq = 1001 + 5000 * (number % 3 == 0)
    made = {
        "syn": lambda: tcp(flags="S", seq=seq - 1, **out),
        "syn-ack": lambda: tcp(flags="SA", seq=1, **back),
        "rst": lambda: tcp(flags="RA", seq=1, **back),
        "data": lambda: tcp(b"x" * 40, seq=seq, **out),
        "back": lambda: tcp(b"y" * 50, seq=2, **back),
        "hello": lambda: tcp(hello, seq=seq, **out),
        "half": lambda: tcp(hello[:100], seq=seq, **out),
        "rest": lambda: tcp(hello[100:], seq=seq + 100, **out),
        "cut": lambda: tcp(hello, seq=seq, **out),
        "udp": lambda: udp(b"z" * 30, **out),
        "udp-back": lambda: udp(b"z" * 30, **back),
        "answer": lambda: udp(ANSWERS[server % 4], **{**back, "sport": 53}),
    }
    inside = made[kind]()
    head = Ether(src=ends[0], dst=ends[1], type=0x86DD if inside[0] >> 4 == 6 else 0x0800)
    if tag:
        head.type = 0x8100
        tag.type = 0x86DD if inside[0] >> 4 == 6 else 0x0800
        head /= tag
    return bytes(head) + inside


def blocks(sent: list[Packet], sizes: list[int]) -> list[Block]:
    """Packets in blocks of these sizes, over and over."""
    found, time, frames = [], START, []
    for number, packet in enumerate(sent):
        time += packet.gap
        frames.append((time, frame(packet, number)))
    snaps = [1 << 18 if packet.kind != "cut" else 120 for packet in sent]
    at = 0
    while at < len(frames):
        for size in sizes:
            part: Frames = frames[at : at + size]
            if part:
                snap = min(snaps[at : at + size])
                found.append(block(part, snap=snap, first=at + 1))
            at += size
    return found


def judged(
    parts: list[Block], first: Config, second: Config, *, keep_frames: bool
) -> tuple[object, ...]:
    """All that an engine says of a capture. Half of it is judged by the one configuration, half
    by the other."""
    statistics, collector, coverage = RunStatistics(), Collector(), Coverage(limit=4)
    engine = Engine(first, statistics, collector, coverage, seed=5, keep_frames=keep_frames)
    for number, part in enumerate(parts):
        if number and number == len(parts) // 2:
            engine.reload(second)
        engine.process(part, "test")
        if number % 5 == 4:
            engine.checkpoint(max(part.records[0 :: len(part.records) // part.count]))
    engine.finish()
    report = coverage.report(statistics.packets, statistics.anomalies)
    return report, collector.events, statistics


@pytest.mark.parametrize("kind", TEXTS)
def test_tables_give_what_single_flows_give(kind: str, folder: Path) -> None:
    @examples(60, deadline=None)
    # Named flows of clients that only the second configuration has in a network.
    @example(262144, 42, [1], 8, 2, 1, 1, "vlans", False)
    @given(
        seed=st.integers(0, 1 << 30),
        count=st.integers(1, 80),
        sizes=st.lists(st.integers(1, 25), min_size=1, max_size=4),
        slots=st.sampled_from([8, 64]),
        batch=st.integers(1, 6),
        cells=st.sampled_from([1, 2, 8, 64]),
        times=st.sampled_from([1, 3, 64]),
        other=st.sampled_from([None, *TEXTS]),
        keep_frames=st.booleans(),
    )
    def same(
        seed: int,
        count: int,
        sizes: list[int],
        slots: int,
        batch: int,
        cells: int,
        times: int,
        other: str | None,
        keep_frames: bool,
    ) -> None:
        parts = blocks(packets(seed, count), sizes)
        configs = loaded(folder, kind), loaded(folder, other or kind)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dissector, "Loop", partial(Loop, slots))
            # A power of two, as tables have.
            patch.setattr(accounting, "NAMED_BATCH", 1 << batch - 1)
            patch.setattr(accounting, "CELLS", cells)
            patch.setattr(accounting, "TIMES", times)
            counted = judged(parts, *configs, keep_frames=keep_frames)
            patch.setattr(dissector, "FlowRecords", ObjectRecords)
            assert counted == judged(parts, *configs, keep_frames=keep_frames)

    same()


@pytest.mark.parametrize("kind", TEXTS)
def test_flows_that_go_on_count_as_if_they_ended(kind: str, folder: Path) -> None:
    """And they still do when they have ended: to look at them changes nothing."""

    @examples(20, deadline=None)
    @given(
        seed=st.integers(0, 1 << 30),
        count=st.integers(1, 80),
        sizes=st.lists(st.integers(1, 25), min_size=1, max_size=4),
        slots=st.sampled_from([8, 64]),
        cells=st.sampled_from([1, 64]),
    )
    def same(seed: int, count: int, sizes: list[int], slots: int, cells: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dissector, "Loop", partial(Loop, slots))
            patch.setattr(accounting, "CELLS", cells)
            patch.setattr(accounting, "TIMES", cells)
            coverage = Coverage()
            engine = Engine(loaded(folder, kind), RunStatistics(), Collector(), coverage, seed=5)
            for part in blocks(packets(seed, count), sizes):
                engine.process(part, "test")
                engine.open_flows()
            engine._dissector.hand_over_all_flows()
            expected = engine.open_flows()
            assert expected.total() == engine.open_flows().total()
            expected.merge(coverage)
            engine._observer.end_flows(dissector.END_OF_TIME)
            assert coverage.report(0, Counter()) == expected.report(0, Counter())

    same()


def test_more_flows_go_on_than_are_looked_at_together(folder: Path) -> None:
    engine = Engine(loaded(folder, "sample"), RunStatistics(), Collector(), Coverage(), seed=5)
    datagram = udp(b"x", src="10.20.0.0", dport=9999)
    sent = [
        (START + number, datagram[:14] + number.to_bytes(2, "big") + datagram[16:])
        for number in range(1, 9001)
    ]
    engine.process(block(sent, 101), "test")
    assert engine.open_flows().total().flows == 9000
