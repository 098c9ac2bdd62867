"""What the kernel filter keeps out: nothing that a name, a flow or an incident needs."""

import random
import subprocess
import sys
from array import array
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import handshakes
import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import bpf_machine
from support import observing as wire
from support.captures import block, dissector, timed
from support.examples import some_of
from support.frames import ETHERNET, LINKS, tcp, udp
from support.office import configured
from support.paths import ROOT, SHARED
from support.traffic import mixed, without_macs
from support.wrappings import CARRIERS, WRAPPINGS, Wrapped

from netwatch import config
from netwatch.capture import kernel_filter as bpf
from netwatch.capture.block import CAPTURED, FIELDS, OFFSET, WIRE, Block
from netwatch.capture.files import CaptureFile, find_captures, open_source
from netwatch.core.alert import Sensor
from netwatch.core.encapsulation import UDP_TUNNELS
from netwatch.core.flow import NAME_STATUSES
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Coverage
from netwatch.dissect.quic.versions import VERSIONS
from netwatch.engine import capture_files, pipeline
from netwatch.formats import jsonl
from netwatch.incidents.scan import ScanIncidents

SNAPLEN = 262144
SAMPLES = sorted((ROOT / "pcaps").glob("*.pcap"))
WILD = sorted((SHARED / "captures").glob("*.pcap*"))
PROGRAMS = {link: bpf.program(link, SNAPLEN) for link in (1, 101)}
KEPT = bpf.KEPT_DATA
PACKETS = without_macs(mixed().frames)


def kept(packet: bytes, link: int = 1) -> int:
    """The bytes that are kept of a packet."""
    return min(bpf_machine.run(PROGRAMS[link], packet), len(packet))


def framed(packet: bytes) -> bytes:
    return ETHERNET.frame(packet)


# what is kept out


@pytest.mark.parametrize(
    "link", [link for link in LINKS if link.number == 1 and "9100" not in link.name]
)
@pytest.mark.parametrize("ends", [{}, {"src": "2001:db8:20::7", "dst": "2001:db8:ffff::10"}])
@pytest.mark.parametrize("flags", ["A", "FA"])
def test_segments_without_data_are_dropped(link, ends, flags) -> None:
    assert kept(link.frame(tcp(flags=flags, **ends))) == 0
    assert kept(link.frame(tcp(flags=flags, **ends)) + bytes(6)) == 0
    assert kept(link.frame(tcp(b"x", flags=flags, **ends))) > 0


@pytest.mark.parametrize("flags", ["S", "SA", "R", "RA"])
def test_segments_with_syn_or_rst_are_kept(flags) -> None:
    assert kept(framed(tcp(flags=flags))) == 54


def test_all_data_of_tcp_is_kept() -> None:
    for size in (1, 100, 1460, 16000):
        for ends in ({"sport": 443, "dport": 50000}, {"sport": 80, "dport": 50000}, {}):
            packet = framed(tcp(b"\x17\x03\x03" + bytes(size), **ends))
            assert kept(packet) == len(packet)


@pytest.mark.parametrize("ports", [(443, 50000), (50000, 443), (50000, 8443), (3478, 40000)])
def test_data_of_quic_and_calls_is_cut_behind_its_start(ports) -> None:
    sport, dport = ports
    for first in (0x40, 0x5F, 0x60, 0x7F, 0x80, 0x90, 4):
        packet = framed(udp(bytes([first]) + b"\x99" * 1200, sport=sport, dport=dport))
        assert kept(packet) == 14 + 20 + 8 + KEPT
        assert kept(packet[14:], 101) == 20 + 8 + KEPT


def test_datagrams_that_are_short_are_kept() -> None:
    packet = framed(udp(b"\x40" * (KEPT - 1), sport=443))
    assert kept(packet) == len(packet)


@pytest.mark.parametrize("port", [*bpf.WHOLE_PORTS, 53, 67, 123, 500, 1023])
def test_ports_with_names_and_wrappings_are_whole(port) -> None:
    for ends in ({"sport": port, "dport": 50000}, {"sport": 50000, "dport": port}):
        packet = framed(udp(b"\x40" + bytes(1200), **ends))
        assert kept(packet) == len(packet)


def test_every_port_of_a_tunnel_is_whole() -> None:
    assert {row.port for row in UDP_TUNNELS} <= set(bpf.WHOLE_PORTS)
    assert all(row.port >= bpf.WHOLE_BELOW for row in UDP_TUNNELS)


@pytest.mark.parametrize(
    "data",
    [
        handshakes.quic_hello(handshakes.QUIC_V1, "a.example.org", random.Random(1))[0],
        *(
            b"\x8f" + number.to_bytes(4) + b"\x99" * 1200
            for number in (*VERSIONS, 0x1A2A3A4A)
            if number >> 8 != 0x513035
        ),
        messages.query(1, "a-long-enough-name-to-be-more-than-48-bytes.example.org", "A"),
        b"\x16\xfe\xfd" + bytes(10) + b"\x01" + bytes(200),
        b"\x0d" + bytes(8) + b"Q043" + bytes(100),
        b"\x01" + b"Q039" + bytes(100),
        b"\x80" + b"Q046" + bytes(100),
        b"\x60\0\0\0\0\x14\x06\x40" + b"\x20\x01\0\0" + bytes(28) + tcp(b"x")[20:],
        b"\x60\0\0\0\0\x14\x06\x40" + bytes(16) + b"\x20\x01\0\0" + bytes(12) + tcp(b"x")[20:],
    ],
    ids=[
        "quic",
        *(f"quic-greased-{number}" for number in range(len(VERSIONS))),
        "dns",
        "dtls",
        "gquic-id",
        "gquic",
        "gquic-long",
        "teredo-from",
        "teredo-to",
    ],
)
def test_what_a_mask_takes_is_whole(data) -> None:
    packet = framed(udp(data, sport=50000, dport=40000))
    assert kept(packet) == len(packet)


def test_fragments_and_other_types_are_whole() -> None:
    segment = bytearray(tcp(flags="A"))
    segment[6] = 0x20
    assert kept(framed(bytes(segment))) == 54
    assert kept(bytes(12) + b"\x08\x06" + bytes(46)) == 60


def test_tags_beyond_two_are_whole() -> None:
    packet = tcp(flags="A")
    tagged = framed(packet)[:12] + b"\x81\0\0\x05" * 3 + b"\x08\0" + packet
    assert kept(tagged) == len(tagged)


@given(st.binary(max_size=120), st.sampled_from([1, 101]))
def test_whatever_comes_the_program_ends(data, link) -> None:
    assert 0 <= bpf_machine.run(PROGRAMS[link], data) <= SNAPLEN


@given(st.integers(0, 90), st.sampled_from(["A", "PA", "S"]), st.booleans())
def test_packets_cut_on_the_wire_are_never_lost(size, flags, tagged) -> None:
    """A load behind the end would drop them; only what surely has no data is dropped."""
    link = LINKS[1] if tagged else ETHERNET
    packet = link.frame(tcp(b"x" * 20, flags=flags))[:size]
    assert kept(packet) == len(packet)


def test_what_the_host_sends_is_dropped_where_that_is_wanted() -> None:
    for filtered in (False, True):
        program = bpf.program(1, SNAPLEN, filtered=filtered, outgoing=False)
        packet = framed(tcp(b"data"))
        assert bpf_machine.run(program, packet, bpf_machine.OUTGOING) == 0
        assert bpf_machine.run(program, packet) == SNAPLEN


def test_snap_length_holds_with_and_without() -> None:
    packet = framed(udp(b"\x40" * 1200, sport=443))
    for snaplen in (64, 100, 138, 139, 200):
        for filtered in (False, True):
            program = bpf.program(1, snaplen, filtered=filtered)
            assert bpf_machine.run(program, packet) <= snaplen


def test_other_links_are_kept_whole() -> None:
    for link in {carrier.number for carrier in CARRIERS} - {*PROGRAMS}:
        assert bpf.program(link, 1000) == [(6, 0, 0, 1000), (6, 0, 0, 0)]


# nothing is lost


def filtered(found: Block) -> tuple[Block, int, int]:
    """A block as the filter leaves it; what it drops stays as a packet of no length, so
    that numbers are the same. How many were dropped, and how many cut."""
    records = array("q", found.records)
    data, dropped, cut = bytes(found.data), 0, 0
    for at in range(0, found.count * FIELDS, FIELDS):
        link = found.interfaces[records[at + 4]].link_type
        size = records[at + CAPTURED]
        packet = data[records[at + OFFSET] : records[at + OFFSET] + size]
        # In a capture cut by a snap length the wire had more, which the filter sees.
        packet += bytes(records[at + WIRE] - size)
        left = kept(packet, link) if link in PROGRAMS else size
        if left == 0:
            records[at + CAPTURED] = records[at + WIRE] = 0
            dropped += 1
        elif left < size:
            records[at + CAPTURED] = left
            cut += 1
    return replace(found, data=data, records=records), dropped, cut


class Filtered:
    """A source as the filter leaves it."""

    dropped = cut = 0
    unread = None

    def __init__(self, file: CaptureFile | str, windows: object = None) -> None:
        self._source = open_source(file)
        self.name, self.size = self._source.name, self._source.size
        self.notes = self._source.notes

    def blocks(self) -> Iterator[Block]:
        for found in self._source.blocks():
            less, dropped, cut = filtered(found)
            Filtered.dropped += dropped
            Filtered.cut += cut
            yield less

    def close(self) -> None:
        self._source.close()


def told(blocks: list[Block]) -> tuple[list, list, dict]:
    """Observations, flows and names counted of blocks, in full."""
    reader = dissector(name_status=lambda message: NAME_STATUSES.index("ech"))
    names, flows = [], []
    for each in blocks:
        for pair in reader.messages(each, "test"):
            names += wire.observe(*pair)
        flows += reader.flows()
    for pair in reader.flush():
        names += wire.observe(*pair)
    flows += reader.end_flows()
    return names, flows, reader.names_by_evidence()


def same(blocks: list[Block]) -> tuple[int, int, int]:
    """Check that the filter changes nothing; how many names there are, packets that it
    drops and that it cuts."""
    less = [filtered(each) for each in blocks]
    whole = told(blocks)
    assert told([each for each, _, _ in less]) == whole
    return len(whole[0]), sum(dropped for _, dropped, _ in less), sum(cut for _, _, cut in less)


def held(path: Path) -> list[Block]:
    """All blocks of a capture, which a source gives one at a time."""
    return [
        replace(each, data=bytes(each.data), records=array("q", each.records))
        for each in open_source(str(path)).blocks()
    ]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_nothing_is_lost_of_the_samples(path: Path) -> None:
    names, _, _ = same(held(path))
    assert names > 0


@pytest.mark.parametrize(
    "path", some_of(WILD, 3) or [None], ids=lambda path: path.stem if path else "none"
)
def test_nothing_is_lost_of_captures_of_the_wild(path: Path | None) -> None:
    if path is None:
        pytest.skip("the captures are not at hand")
    same(held(path))


@pytest.mark.parametrize(
    "carrier", [each for each in CARRIERS if each.number in PROGRAMS], ids=lambda each: each.name
)
def test_nothing_is_lost_on_any_link(carrier) -> None:
    frames = [each for packet in PACKETS for each in Wrapped(carrier, ()).frames(packet)]
    names, _, _ = same([block(timed(frames), carrier.number)])
    assert names > 0


@pytest.mark.parametrize("wrapping", some_of(WRAPPINGS, 3), ids=lambda each: each.name)
def test_nothing_is_lost_in_any_wrapping(wrapping) -> None:
    frames = [
        each for packet in PACKETS for each in Wrapped(CARRIERS[0], (wrapping,)).frames(packet)
    ]
    names, _, _ = same([block(timed(frames), CARRIERS[0].number)])
    assert names > 0


@pytest.mark.parametrize("options", [("office",), ("office", "--vlan", "20"), ("dns",)])
def test_nothing_is_lost_of_generated_traffic(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = tmp_path / "traffic.pcap"
    command = [sys.executable, str(ROOT / "bench" / "traffic.py"), *options]
    command += ["--packets", "3000", "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    names, dropped, cut = same(held(path))
    assert names > 100
    if options[0] == "office":
        assert dropped > 300
        assert cut > 150


def test_incidents_and_coverage_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole street over samples and captures of the wild, by its records."""
    office = config.load(configured(tmp_path))
    paths = [str(path) for path in [*SAMPLES, *WILD]]
    outcomes = []
    for opener in (open_source, Filtered):
        monkeypatch.setattr(capture_files, "open_source", opener)
        alerts, counts, statistics = [], Coverage(), RunStatistics()
        for path in paths:
            found = ScanIncidents(office.quiet_gap)
            pipeline.scan(find_captures([path]), office, statistics, found, coverage=counts)
            result = found.result(office.geo, Sensor("s", "0"))
            alerts += [jsonl.alert_record(alert) for alert in result.alerts]
        report = counts.report(0, {})
        outcomes.append((alerts, report, statistics.observations, statistics.without_verdict))
    assert Filtered.dropped > 100
    assert len(outcomes[0][0]) > 0
    assert outcomes[0] == outcomes[1]
