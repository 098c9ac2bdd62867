"""A capture in IP fragments shows, is judged and is stored as if its packets had come whole."""

import io
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captures import START, Frames, block, dissector, observed, pcap, timed
from support.examples import examples
from support.fragmented import in_fragments, is_neighbour_discovery, without
from support.kept_facts import Kept
from support.made_hellos import SECOND, cut, record
from support.observing import read
from support.paths import PCAPS

from netwatch import config
from netwatch.capture.block import CAPTURED, FIELDS, TIME
from netwatch.capture.files import find_captures, open_source
from netwatch.config import Config
from netwatch.core.message import Observation
from netwatch.core.statistics import RunStatistics
from netwatch.engine import pipeline
from netwatch.engine.capture_files import group_files
from netwatch.formats.line_writer import observation_record
from netwatch.formats.registry import FORMATS
from netwatch.incidents.scan import ScanIncidents

SAMPLES = (
    "split-hellos", "dns-over-tcp", "http-host", "lease-moves", "office-day",
    "post-quantum-hello", "quic-two-packets", "vlan-mirror",
)  # fmt: skip


@cache
def site() -> Config:
    return config.load(str(PCAPS / "netwatch.yaml"))


@cache
def frames_of(sample: str) -> Frames:
    """The packets of a sample capture; of `split-hellos`, hellos in two segments, of devices that
    each say one and are silent for longer than the rest of a hello is waited for."""
    if sample == "split-hellos":
        packets = [
            (START + device * 61 * SECOND + at, packet)
            for device in range(20)
            for at, packet in timed(
                cut(record(f"n{device}.tiktok.com", device), 1300, sport=2000 + device), 0
            )
        ]
        link = bytes.fromhex("0200000000010200000000020800")
        return [(at, link + packet) for at, packet in packets]
    (file,) = find_captures([str(PCAPS / f"{sample}.pcap")])
    return [
        (time, bytes(block.data[offset : offset + captured]))
        for block in open_source(file).blocks()
        for time, offset, captured in (
            block.records[at : at + FIELDS][TIME : CAPTURED + 1]
            for at in range(0, block.count * FIELDS, FIELDS)
        )
    ]


def told(path: Path, frames: Frames, numbers: Mapping[int, int]) -> tuple[Any, ...]:
    """The names, the stored rows and the incidents of a capture, with its packets as `numbers` has
    them."""
    path.write_bytes(pcap(frames))
    (files,) = group_files(find_captures([str(path)]), continuous=False)
    kept = Kept()
    names = [
        _numbered(json.loads(json.dumps(observation_record(batch, row))), numbers)
        for batch in pipeline.names(files, RunStatistics(), recording=kept)
        for start, stop in batch.spans
        for row in range(start, stop)
    ]
    stream = io.StringIO()
    writer = FORMATS["jsonl"].writer(stream)
    with ScanIncidents(site().quiet_gap) as incidents:
        pipeline.scan(files, site(), RunStatistics(), incidents)
        for alert in incidents.result(site().geo, site().sensor).alerts:
            writer.alert(alert)
    alerts = [json.loads(line) for line in stream.getvalue().splitlines()]
    for alert in alerts:
        alert["evidence"] = [
            _numbered(each, numbers) | {"seen": each["seen"] | {"checksum": ""}}
            for each in alert["evidence"]
        ]
        for against in alert["contradictions"]:
            against["evidence"] = [_numbered(each, numbers) for each in against["evidence"]]
    # A reassembled datagram has no checksum of its own that was on the wire.
    left_out = ("flow", "sequence", "checksum", "client_checksums", "server_checksums")
    # Flows that are open at the end are in the order of their table, which the first packet varies.
    rows = [
        {key: value for key, value in _numbered(row, numbers).items() if key not in left_out}
        for row in kept.rows
    ]
    rows.sort(key=lambda row: (row["table"], row["packet"]))
    return names, rows, alerts


def _numbered(record: dict[str, Any], numbers: Mapping[int, int]) -> dict[str, Any]:
    number = numbers.get(record["packet"], record["packet"])
    if record.get("claim"):
        claim = json.loads(record["claim"]) | {"flow_id": None}
        return record | {"packet": number, "claim": claim}
    return record | {"packet": number}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("captures") / "test.pcap"


@pytest.fixture(scope="module")
def whole(path: Path) -> Any:
    """What a sample capture tells as it is, without some packets of neighbour discovery."""
    return cache(lambda sample, ignored: told(path, without(frames_of(sample), ignored), {}))


@examples(25, deadline=None)
@given(
    st.sampled_from(SAMPLES),
    st.integers(0, 1 << 30),
    st.sampled_from((0.1, 0.5, 1)),
    st.sampled_from((3, 12, 90, 170)),
    st.sampled_from((0, 1_000_000, SECOND, 20 * SECOND)),
    st.booleans(),
)
def test_nothing_changes(
    whole: Any,
    path: Path,
    sample: str,
    seed: int,
    share: float,
    size: int,
    lead: int,
    tunnel: bool,
) -> None:
    cut_up = in_fragments(
        frames_of(sample), seed=seed, share=share, size=size, lead=lead, tunnel=tunnel
    )
    original = {place: number for number, place in cut_up.completed_by.items()}
    expected = whole(sample, cut_up.ignored)
    for part, wanted in zip(told(path, cut_up.frames, original), expected, strict=True):
        assert len(part) == len(wanted)
        for each, other in zip(part, wanted, strict=True):
            assert each == other


@examples(25, deadline=None)
@given(
    st.sampled_from(SAMPLES),
    st.integers(0, 1 << 30),
    st.lists(st.integers(1, 60), min_size=1, max_size=20),
    st.booleans(),
)
def test_nothing_changes_in_blocks_of_any_size(
    sample: str, seed: int, sizes: list[int], parse_all: bool
) -> None:
    """A live capture gets its packets in blocks as they come, and some without any."""
    cut_up = in_fragments(
        frames_of(sample), seed=seed, share=0.5, size=90, lead=SECOND, tunnel=True
    )
    frames = cut_up.frames
    whole = [_shown(each) for each in observed(frames, by=dissector(parse_all=parse_all))]
    reader = dissector(parse_all=parse_all)
    found, at = [], 0
    for size in (*sizes, len(frames)):
        part = frames[at : at + size]
        found += read(reader, reader.messages(block(part, first=at + 1), "test"))
        at += size
    found += read(reader, reader.flush())
    assert [_shown(each) for each in found] == whole


def test_neighbour_discovery_in_fragments_is_counted_and_not_read() -> None:
    """RFC 6980 section 5: no host takes it."""
    frames = frames_of("lease-moves")
    count = sum(is_neighbour_discovery(frame) for _, frame in frames)
    assert count
    for share in (0, 1):
        cut_up = in_fragments(frames, seed=1, share=share, size=2, lead=0, tunnel=False)
        assert len(cut_up.ignored) == share * count
        reader = dissector(learn_from=("arp",))
        found = list(reader.messages(block(cut_up.frames), "test")) + list(reader.flush())
        claims = [claim for _, message in found for claim in message.claims]
        assert any(len(each.addresses[0]) == 16 for each in claims) == (share == 0)
        assert reader.anomalies()["nd-fragmented"] == share * count
        assert reader.anomalies()["nd-hop-limit"] == 0


def _shown(each: Observation) -> tuple[Any, ...]:
    return each.time, each.packet, each.evidence, each.name, each.client_ip, each.client_port
