"""The fuzz targets of flow records: messages of exporters, datagrams of agents, and the lines of
each flow log."""

import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from support.flow_messages import (
    FLOW,
    SECONDS,
    flow,
    ipfix,
    netflow5,
    netflow9,
    options_template,
    set_of,
    template,
)
from support.logs import check_entry, sample_files
from support.sflow_datagrams import datagram, raw, sample

from netwatch.capture import sflow
from netwatch.core.errors import ParseError, RecordError
from netwatch.core.statistics import ANOMALIES
from netwatch.logs.flow_logs import FLOW_LOGS
from netwatch.logs.ipfix import MessageReader, is_ipfix
from netwatch.logs.live.source import IpfixFrames
from netwatch.logs.records import PLAIN, Carried, ReaderContext, RecordReader
from netwatch.logs.times import LocalTimes

SEED_BYTES = 1024
"""Bytes of each sample that the fuzzer starts from."""

_ARRIVED = SECONDS * 1_000_000_000
_CHUNK = 700


def read_messages(data: bytes) -> None:
    """Messages, each behind its length in two bytes, as if they had just arrived and as if they
    were from a file; then all of it as a stream."""
    for carried in (Carried(_ARRIVED, 9, "192.0.2.7"), PLAIN):
        reader = MessageReader(ReaderContext(LocalTimes()))
        at = 0
        while at + 2 <= len(data):
            size = int.from_bytes(data[at : at + 2])
            _read(reader, data[at + 2 : at + 2 + size], carried)
            at += 2 + size
        _end(reader)
    is_ipfix(data)
    frames = IpfixFrames()
    for at in range(0, len(data), _CHUNK):
        for message in frames.feed(data[at : at + _CHUNK])[0]:
            assert 16 <= len(message) < 1 << 16
            assert data.find(message) >= 0
        if frames.failure:
            return
    assert frames.end() == []


def read_datagram(data: bytes) -> None:
    """A datagram of sFlow: what it says to have sampled is in it."""
    with suppress(ParseError):
        found = sflow.read(data)
        assert len(found.agent) in (4, 16)
        assert sum(len(packet.head) for packet in found.packets) <= len(data)
        assert all(packet.rate >= 1 and packet.length >= 0 for packet in found.packets)
        assert 0 <= found.unread <= len(data)


def read_lines(name: str, data: bytes) -> None:
    """The lines of a flow log."""
    reader = FLOW_LOGS[name].reader(ReaderContext(LocalTimes()))
    for line in data.split(b"\n"):
        _read(reader, line, PLAIN)
    _end(reader)


def _read(reader: RecordReader, record: bytes, carried: Carried) -> None:
    with suppress(RecordError):
        for entry in reader.read(record, carried):
            check_entry(entry)


def _end(reader: RecordReader) -> None:
    for entry in reader.flush():
        check_entry(entry)
    assert reader.anomalies.keys() <= ANOMALIES.keys()
    assert all(count >= 0 for count in reader.anomalies.values())
    assert all(len(note) < 200 for note in reader.notes)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "ipfix": read_messages,
    "netflow5": read_messages,
    "netflow9": read_messages,
    "sflow": read_datagram,
    **{name: partial(read_lines, name) for name in FLOW_LOGS},
}


def _behind_lengths(*messages: bytes) -> bytes:
    return b"".join(struct.pack(">H", len(each)) + each for each in messages)


_BACK = {"source": b"\xc0\0\2\1", "destination": b"\x0a\x14\6\x14", "source_port": 443}
_V9 = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4), (2, 4), (22, 4), (21, 4), (48, 1))
_V9_FLOW = (
    b"\x0a\x14\6\x14\xc0\0\2\1"
    + struct.pack(">HHB", 40000, 443, 6)
    + struct.pack(">IIII", 1000, 5, 90_000, 99_000)
    + b"\1"
)
_VARYING = ((27, 16), (28, 16), (7, 2), (11, 2), (4, 1), (1, 8, 29305), (371, 0xFFFF), (150, 4))
_LONG = bytes(32) + b"\x9c\x40\1\xbb\x11" + bytes(8) + b"\3abc" + struct.pack(">I", SECONDS)

_MESSAGES: dict[str, Callable[[], list[bytes]]] = {
    "ipfix": lambda: [
        _behind_lengths(
            ipfix(set_of(2, template(300, *FLOW))),
            ipfix(set_of(300, flow(), flow(**_BACK)), sequence=0),
            ipfix(set_of(300, flow(octets=1 << 63, packets=(1 << 64) - 1)), sequence=9),
        ),
        _behind_lengths(
            ipfix(
                set_of(2, template(301, *_VARYING)),
                set_of(3, options_template(302, [(149, 4)], [(305, 4), (306, 4), (160, 8)])),
                set_of(301, _LONG),
                set_of(302, struct.pack(">IIIQ", 1, 1, 99, SECONDS * 1000)),
                set_of(2, struct.pack(">HH", 301, 0)),
            )
        ),
        ipfix(set_of(2, template(300, *FLOW)), set_of(300, flow())),
    ],
    "netflow5": lambda: [
        _behind_lengths(netflow5({}, _BACK), netflow5({}, sequence=9, sampling=0x4064)),
        _behind_lengths(netflow5({"first": (1 << 32) - 9, "last": 9}, uptime=2000)),
    ],
    "netflow9": lambda: [
        _behind_lengths(
            netflow9(set_of(0, template(256, *_V9))),
            netflow9(set_of(256, _V9_FLOW, _V9_FLOW), sequence=1),
            netflow9(
                set_of(1, struct.pack(">HHHHHHHHH", 257, 4, 8, 1, 4, 48, 1, 34, 4)),
                set_of(257, struct.pack(">IBI", 1, 1, 100)),
                sequence=9,
            ),
        )
    ],
    "sflow": lambda: [
        datagram(sample(raw(b"abcde"), raw(b"fg", protocol=11)), sample(raw(b"h"), kind=3)),
        datagram(agent=bytes(16)),
    ],
}


def seeds(name: str) -> list[bytes]:
    """Inputs of a target that are sound."""
    if name in _MESSAGES:
        return _MESSAGES[name]()
    return [path.read_bytes()[:SEED_BYTES] for path in sample_files(name)]
