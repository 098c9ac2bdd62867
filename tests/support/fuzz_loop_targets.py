"""What the fuzzer calls of the packet loop, in both its forms, and of all behind it.

The input is a small capture: two bytes with the link type, one of options (size of the flow
table, whether known names are filtered, snap length), one with what devices are learned
from, then packets, each behind its length in two bytes, whose highest bit lets two
minutes pass. A target raises where a
promise of the loop is broken: an exception, a row that reaches out of its packet, a flow
that is told twice or never, two forms that differ.
"""

import random
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import chain
from types import ModuleType
from typing import Any

import handshakes
import messages
from craft import Host, Wire
from leases import Segment
from support import filling, layers
from support.captures import dissector
from support.frames import CLIENT, CLIENT6, GATEWAY, MAC, SERVER, SERVER6, tcp, udp
from support.fuzz_corpus import load
from support.fuzz_targets import hold
from support.interpreted import LOOP, interpreted_loop
from support.observing import observe
from support.wrappings import CARRIERS, WRAPPINGS, Wrapped

from netwatch.capture.block import FIELDS, Block, Interface
from netwatch.core.flow import NAME_STATUSES, FlowClient
from netwatch.core.message import LEARNING_SOURCES, Message
from netwatch.dissect.flows.records import to_flow
from netwatch.dissect.loop import layout
from netwatch.dissect.loop import loop as compiled
from netwatch.inventory.learned import LearnedBindings
from netwatch.protocols import ARP, ND, PROTOCOLS

Target = Callable[[bytes], None]

LINKS = (*sorted({carrier.number for carrier in CARRIERS}), 147)
"""Every link type that is read, and one that is not."""

FRAGMENTS = {layout.KIND_FRAGMENT, layout.KIND_TUNNEL_FRAGMENT}
KINDS = {*PROTOCOLS, layout.KIND_OPENING, layout.KIND_ANSWER, layout.KIND_MORE, *FRAGMENTS}
NAME = "www.example.org"
SECOND = 1_000_000_000


class Case:
    """An input as what it stands for."""

    def __init__(self, data: bytes) -> None:
        head = data[:4].ljust(4, b"\0")
        number = int.from_bytes(head[:2])
        self.link = number if number in LINKS else LINKS[number % len(LINKS)]
        self.slots = (8, 64)[head[2] & 1]
        self.filtering = bool(head[2] & 2)
        self.snap = 8 * (head[2] >> 2) or 1 << 18
        self.learning = head[3] & 7
        self.frames = list(self._frames(data[4:]))

    @staticmethod
    def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
        now = at = 0
        while at + 2 <= len(data):
            size = int.from_bytes(data[at : at + 2])
            now += 120 * SECOND if size & 0x8000 else SECOND // 1000
            at += 2 + (size & 0x7FFF)
            yield now, data[at - (size & 0x7FFF) : at]

    def block(self) -> Block:
        data = bytearray()
        records = array("q")
        for time, frame in self.frames:
            kept = frame[: self.snap]
            records.extend((time, len(data), len(kept), len(frame), 0, -1))
            data += kept
        return Block(bytes(data), records, len(self.frames), (Interface(self.link, 9),), 1, 0)


def encoded(link: int, frames: list[bytes], options: int = 0, learning: int = 0) -> bytes:
    """The input that stands for these frames."""
    out = link.to_bytes(2) + bytes([options, learning])
    return out + b"".join(len(frame).to_bytes(2) + frame for frame in frames)


@contextmanager
def _nothing_unraisable() -> Iterator[None]:
    """What goes wrong in compiled code that cannot raise is a finding all the same."""
    raised: list[Any] = []
    before, sys.unraisablehook = sys.unraisablehook, raised.append
    try:
        yield
    finally:
        sys.unraisablehook = before
    hold(not raised, f"raised where nothing can be: {[each.exc_value for each in raised]}")


def _walk(module: ModuleType, case: Case) -> tuple[object, ...]:
    """All that a walk gives and leaves, held to what is promised of any."""
    block = case.block()
    loop = module.Loop(
        case.slots,
        seed=5,
        domains=[b"example.net"] if case.filtering else None,
        recording=True,
        openings=True,
        learning=case.learning,
    )
    rows: list[list[int]] = []
    words: list[int] = []
    with _nothing_unraisable():
        for part in chain(_parts(loop, block), loop.finish()):
            hold(len(part) % layout.ROW_COLUMNS == 0, "part of a row")
            words += loop.flows.take_closed()
            for at in range(0, len(part), layout.ROW_COLUMNS):
                row = part[at : at + layout.ROW_COLUMNS]
                if row[1] < 0:
                    row = _kept(loop, row, block)
                rows.append(row)
    alive = {row[13]: loop.flows.bytes_of(row[13]) for row in rows}
    while not loop.flows.close_flows():
        words += loop.flows.take_closed()
    words += loop.flows.take_closed()
    for row in rows:
        _hold_row(row, block)
    hold(loop.packets == block.count, f"{loop.packets} packets of {block.count}")
    openings = sum(row[0] == layout.KIND_OPENING for row in rows)
    answers = sum(row[0] == layout.KIND_ANSWER for row in rows)
    hold(loop.candidates.total == len(rows) - openings - answers, "candidates that are no rows")
    hold(openings == loop.flows.total, "flows whose first packet was told twice or never")
    hold(len(words) == layout.FLOW_WORDS * loop.flows.total, "flows that were told twice or never")
    for slot in zip(*[iter(words)] * layout.FLOW_WORDS, strict=True):
        flow = to_flow(slot, ["fuzz"])
        hold(0 < flow.packet <= block.count, f"packet {flow.packet}")
        hold(0 <= flow.first <= flow.last, "a flow that ends before it starts")
        hold(flow.bytes_out >= 0 <= flow.bytes_in, "less than nothing said")
    counts = loop.anomalies(), loop.prefilter.names(), loop.octets, loop.flows.evicted
    return rows, words, alive, counts


def _parts(loop: Any, block: Block) -> Iterator[list[int]]:
    """The rows of a block that comes in two."""
    half = block.count // 2
    for first, count in ((0, half), (half, block.count - half)):
        records = block.records[FIELDS * first : FIELDS * (first + count)]
        part = replace(block, records=records, count=count, first=1 + first)
        for rows in loop.walk(part):
            for at in range(1, len(rows), layout.ROW_COLUMNS):
                rows[at] += first if rows[at] >= 0 else 0
            yield rows


def _kept(loop: Any, row: list[int], block: Block) -> list[int]:
    """A row of a packet that was kept as one of the packet itself."""
    found, own, source = loop.buffered_packet(tuple(row))
    at = FIELDS * (own.first - 1)
    time, start, size, *rest = block.records[at : at + FIELDS]
    hold(source == 0 and own.count == 1 and own.interfaces == block.interfaces, "a packet of none")
    hold(own.data == block.data[start : start + size], "not the packet that came")
    hold(list(own.records) == [time, 0, size, *rest], "not the record that came")
    row = [found[0], own.first - 1, *found[2:]]
    for column in (2, 7, 9, 10):
        row[column] += start if row[column] >= 0 else 0
    return row


def _hold_row(row: list[int], block: Block) -> None:
    """A row tells of bytes of its own packet alone."""
    kind, record, at, size, wire, sport, dport, addr, addr_size, src, dst, vlan = row[:12]
    hold(kind in KINDS and 0 <= record < block.count, f"kind {kind}, record {record}")
    start = block.records[FIELDS * record + 1]
    end = start + block.records[FIELDS * record + 2]
    hold(start <= at and size >= 0 and at + size <= end, f"payload {at}+{size} of {start}-{end}")
    hold(size <= wire, "more captured than there was")
    hold(start <= addr and addr + 2 * addr_size <= at, f"addresses at {addr}")
    hold(addr_size in (4, 16) or kind == ARP, f"addresses of {addr_size} bytes")
    hold(all(mac == -1 or start <= mac <= at - 6 for mac in (src, dst)), f"MACs {src}, {dst}")
    hold(0 <= sport < 65536 and 0 <= dport < 65536 and -1 <= vlan < 4096, "ports or VLAN")
    fragment = kind in FRAGMENTS
    hold(0 <= row[12] < (1 << 17 if fragment else 1 << 32), f"sequence number {row[12]}")
    side = row[14] & ~(layout.SIDE_STRAY | layout.SIDE_OTHER_BYTES)
    hold(row[13] >= 0 and side in (0, 1), f"flow {row[13]}, side {row[14]}")
    hold(row[16] in (0, 1), f"prefiltered {row[16]}")
    hold(fragment or row[15] in (6, 17) or kind in (ARP, ND), f"protocol {row[15]}")


modules = cache(interpreted_loop)
"""The modules of the interpreted form, imported once."""


def source() -> ModuleType:
    """The module of the interpreted loop."""
    return modules()[LOOP]


def _in_c(data: bytes) -> None:
    _walk(compiled, Case(data))


def _in_python(data: bytes) -> None:
    _walk(source(), Case(data))


def _same(data: bytes) -> None:
    case = Case(data)
    hold(_walk(compiled, case) == _walk(source(), case), "the two forms differ")


def _street(data: bytes) -> None:
    """Streams, fragments and parsers behind the loop, as a capture is read."""

    def name_status(message: Message) -> int:
        return NAME_STATUSES.index("named" if message.names else "no-sni")

    def counted(client: FlowClient, visibility: str, flows: int, times: Sequence[int]) -> None:
        hold(len(client.ip) in (0, 4, 16), f"an address of {len(client.ip)} bytes")
        hold(len(client.mac or bytes(6)) == 6 and len(times) <= flows, "a count of nobody")
        counts[visibility] += flows

    counts: Counter[str] = Counter()
    case = Case(data)
    sources = [word for bit, word in enumerate(LEARNING_SOURCES) if case.learning >> bit & 1]
    by = dissector(
        name_status=name_status,
        keeps_frames_for=lambda address: True,
        domains=[b"example.net"] if case.filtering else None,
        learn_from=sources,
        flows_counted=counted,
    )
    learned = LearnedBindings(lambda ip, vlan: "hq", 60 * SECOND, limit=4)
    block = case.block()
    with _nothing_unraisable():
        found = [*by.messages(block, "fuzz"), *by.flush()]
    for packet, message in found:
        hold(bool(message.names) or case.learning > 0, "a message without a name")
        learned.record(packet, message)
        binding = learned.binding_at(packet.src, packet.src_mac, packet.vlan, packet.time)
        hold(
            binding is None or binding.ambiguity == "address" or bool(binding.mac),
            "a device of none",
        )
        for observation in observe(packet, message):
            hold(bool(observation.name), "an empty name")
            hold(0 < observation.packet <= block.count, f"packet {observation.packet}")
            frames = {frame.number: frame for frame in observation.frames}
            hold(observation.packet in frames, f"no proof of packet {observation.packet}")
            hold(len(frames) == len(observation.frames), "a packet that proves twice")
            for number, frame in frames.items():
                at = FIELDS * (number - 1)
                start, size = block.records[at + 1 : at + 3]
                hold(frame.data == bytes(block.data[start : start + size]), f"frame {number}")
    for flow in (*by.flows(), *by.end_flows()):
        hold(0 < flow.packet <= block.count, f"packet {flow.packet}")
        hold(flow.packet in {frame.number for frame in flow.frames}, "no first packet")
    hold(counts.total() <= by.loop.flows.total, "flows that were counted twice")
    hold(by.loop.packets == block.count, "packets that were counted twice")


def _filled(data: bytes) -> None:
    """What the loop reads itself is what parsers read, in the same order."""
    case = Case(data)
    block = case.block()
    domains = [b"example.net", b"test"] if case.filtering else None
    kinds = {kind for rows in compiled.Loop(64).walk(block) for kind in rows[:: layout.ROW_COLUMNS]}
    with _nothing_unraisable():
        for way in ({}, filling.RECORDED):
            filled, parsed = [
                filling.read([block], parse_all=each, domains=domains, **way)
                for each in (False, True)
            ]
            # Fragments are read after all else in their block.
            if not kinds & FRAGMENTS:
                hold(filled.observations == parsed.observations, "the loop reads something else")
                hold(filled.names == parsed.names, "the loop counts other names")
                hold(filled.flows == parsed.flows, "the loop tells other flows")


TARGETS: Mapping[str, Target] = {
    "compiled": _in_c,
    "interpreted": _in_python,
    "both": _same,
    "street": _street,
    "filled": _filled,
}


def _leases() -> list[bytes]:
    """What devices are learned from."""
    host, six = Host("10.20.6.20", MAC), Host(CLIENT6, MAC)
    link = Segment(Wire("2023-04-03T10:00:00+02:00", 3), Host("10.20.6.1", GATEWAY))
    link.obtain(host, "ws-014")
    link.obtain6(six, "ws-014")
    link.announce(host, "ws-014")
    link.advertise(six)
    link.release(host)
    return [frame for _, frame in link.wire.frames]


def seeds() -> list[bytes]:
    """Captures that the fuzzer changes: every link and wrapping, with something to read, and
    those kept."""
    rng = random.Random(3)
    hello = handshakes.records(handshakes.client_hello(NAME, rng))
    ends = {"src": CLIENT6, "dst": SERVER6}
    answer = messages.answer(1, NAME, "A", [(NAME, "A", 60, SERVER)])
    packets = [
        tcp(flags="S", seq=1000),
        tcp(hello[:200]),
        tcp(hello[200:], seq=1201),
        tcp(messages.request("GET", "/", NAME), dport=80, **ends),
        udp(messages.query(1, NAME, "A"), **ends),
        udp(answer, src=SERVER, sport=53, dst=CLIENT, dport=50000),
        udp(handshakes.quic_hello(1, NAME, rng)[0], dport=443),
        *(
            udp(each, sport=port, dport=443)
            for port, name in ((50001, NAME), (50002, "www.example.net"))
            for each in handshakes.quic_hello(handshakes.QUIC_V2, name, rng, post_quantum=True)
        ),
        *layers.fragments(udp(messages.query(1, NAME, "A")), (2, 4)),
    ]
    made = [encoded(1, _leases(), 0, 7)]
    for number, carrier in enumerate(CARRIERS):
        frames = [frame for packet in packets for frame in Wrapped(carrier, ()).frames(packet)]
        made.append(encoded(carrier.number, frames, number % 4))
    for number, wrapping in enumerate(WRAPPINGS):
        wrapped = Wrapped(CARRIERS[0], (wrapping, WRAPPINGS[-number]))
        some = packets[number % 4 :: 4]
        made.append(encoded(1, [frame for packet in some for frame in wrapped.frames(packet)]))
    aggregate = layers.wlan(layers.amsdu(*packets), qos=0x80)
    air = layers.swapped_control(layers.wlan(layers.snap(packets[1]), qos=0))
    parts = [
        layers.on_ethernet((layers.IPV4, layers.ipv4(17, layers.datagram(5247, part))))
        for part in layers.capwap_fragments(air, (4, 9), 1)
    ]
    made.append(encoded(1, parts))
    made.append(encoded(105, [aggregate, layers.wlan(b"x" * 40, protected=True)]))
    return [*made, *(each for name in TARGETS for each in load(name))]
