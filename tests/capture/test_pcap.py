import bz2
import gzip
import io
import lzma
import os
import random
import struct
import threading

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_captures import PACKETS, SECOND, pcap, read

from netwatch.capture.block import Interface
from netwatch.capture.files import open_source
from netwatch.capture.pcap import MAX_RECORDS_TRIED, RECORDS
from netwatch.capture.stream import BUFFER_SIZE
from netwatch.core.errors import CaptureError


@pytest.fixture
def made(tmp_path):
    def write(data):
        path = tmp_path / "made.pcap"
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("magic", "digits", "unit"),
    [(0xA1B2C3D4, 6, 1000), (0xA1B23C4D, 9, 1), (0xA1B2CD34, 6, 1000)],
)
def test_variants(made, order, magic, digits, unit):
    rows, notes = read(made(pcap(order=order, magic=magic, network=101)))
    assert notes == []
    assert [row.data for row in rows] == list(PACKETS)
    assert [row.number for row in rows] == list(range(1, len(PACKETS) + 1))
    assert [row.time for row in rows] == [
        (SECOND + n) * 10**9 + (n + 1) * unit for n in range(len(PACKETS))
    ]
    assert [row.wire for row in rows] == [len(data) + 5 for data in PACKETS]
    assert {row.interface for row in rows} == {Interface(101, digits)}


def test_link_type_is_the_lower_half(made):
    rows, _ = read(made(pcap(network=0x2400_0071)))
    assert rows[0].interface.link_type == 0x71


def test_no_packets_is_no_mistake(made):
    assert read(made(pcap([]))) == ([], [])


@pytest.mark.parametrize("version", [(2, 5), (1, 4), (3, 0), (543, 1)])
def test_other_versions_are_refused(made, version):
    found = rf"version 2.0 to 2.4, or 543.0, found {version[0]}\.{version[1]}"
    with pytest.raises(CaptureError, match=found):
        read(made(pcap(version=version)))


@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B2CD34])
def test_every_prefix_yields_what_is_complete(made, magic):
    whole = pcap(magic=magic)
    header = 24 if magic == 0xA1B2CD34 else 16
    ends = [24]
    for data in PACKETS:
        ends.append(ends[-1] + header + len(data))
    for cut in range(len(whole) + 1):
        path = made(whole[:cut])
        if cut < 24:
            with pytest.raises(CaptureError, match=r"made\.pcap: "):
                read(path)
            continue
        rows, notes = read(path)
        complete = sum(end <= cut for end in ends) - 1
        if magic == 0xA1B2CD34 and complete < MAX_RECORDS_TRIED:
            continue  # what is cut so early may be whole in another variant with this magic
        assert [row.data for row in rows] == list(PACKETS[:complete])
        if cut in ends:
            assert notes == []
        else:
            (note,) = notes
            assert f"packet {complete + 1} at byte {ends[complete]} is truncated" in note


@pytest.mark.parametrize("length", [262145, 0x7FFFFFFF, 0xFFFFFFFF])
def test_absurd_length_ends_the_file(made, length):
    data = pcap(PACKETS[:2])
    bad = struct.pack("<IIII", SECOND, 0, length, length) + bytes(1000)
    rows, (note,) = read(made(data + bad))
    assert len(rows) == 2
    assert note.startswith(f"packet 3 at byte {len(data)}: the length {length} is not plausible")


@pytest.mark.parametrize(
    ("size", "snaplen", "taken"),
    [
        (262144, 96, True),
        (262145, 96, False),
        (3 << 20, 4 << 20, True),
        (3 << 20, 3 << 20, True),
        (3 << 20, (3 << 20) - 1, False),
        ((1 << 24) + 1, 0xFFFFFFFF, False),
    ],
)
def test_snaplen_allows_longer_packets(made, size, snaplen, taken):
    rows, notes = read(made(pcap([b"a", bytes(size), b"b"], snaplen=snaplen)))
    assert [len(row.data) for row in rows] == ([1, size, 1] if taken else [1])
    assert len(notes) == (not taken)


def test_length_on_the_wire_is_never_below_the_captured_one(made):
    record = struct.pack("<IIII", SECOND, 0, 4, 0) + b"abcd"
    rows, _ = read(made(pcap([]) + record))
    assert rows[0].wire == 4


def test_more_than_a_buffer_and_more_than_a_block(made):
    packets = [bytes([n & 0xFF]) * (n * 37 % 1500) for n in range(4000)] + [b""] * (RECORDS + 5)
    whole = pcap(packets)
    assert len(whole) > 2 * BUFFER_SIZE
    rows, notes = read(made(whole))
    assert notes == []
    assert [row.data for row in rows] == packets
    assert [row.number for row in rows] == list(range(1, len(packets) + 1))


@given(packets=st.lists(st.binary(max_size=100), max_size=20), big=st.booleans())
def test_agrees_with_dpkt(tmp_path_factory, packets, big):
    data = pcap(packets, order=">" if big else "<")
    path = tmp_path_factory.mktemp("pcap") / "x"
    path.write_bytes(data)
    rows, _ = read(path)
    peer = list(dpkt.pcap.Reader(io.BytesIO(data)))
    assert [row.data for row in rows] == [packet for _, packet in peer]
    assert [row.time // 1000 for row in rows] == [int(time * 10**6) for time, _ in peer]


@given(tail=st.binary(max_size=300), big=st.booleans())
def test_any_bytes_behind_a_header(tmp_path_factory, tail, big):
    path = tmp_path_factory.mktemp("pcap") / "x"
    path.write_bytes(pcap([], order=">" if big else "<") + tail)
    rows, notes = read(path)
    assert sum(16 + len(row.data) for row in rows) <= len(tail)
    assert len(notes) <= 1
    assert notes or sum(16 + len(row.data) for row in rows) == len(tail)


def unread(path):
    source = open_source(str(path))
    for _ in source.blocks():
        pass
    return source.unread


def test_bytes_behind_damage_are_counted(made):
    whole = pcap([bytes(100)] * 50_000)
    assert unread(made(whole)) is None
    assert unread(made(whole[:-1])) == 115
    at = 24 + 20_000 * 116
    damaged = whole[: at + 8] + b"\xff" * 8 + whole[at + 16 :]
    assert unread(made(damaged)) == len(whole) - at


COMPRESS = {
    "gzip": lambda raw: gzip.compress(raw, 1),
    "bzip2": lambda raw: bz2.compress(raw, 1),
    "xz": lambda raw: lzma.compress(raw, preset=0),
}
"""Ways to compress that are quick, and whose blocks are small."""


@pytest.mark.parametrize("compress", COMPRESS.values(), ids=COMPRESS)
def test_bytes_behind_damage_inside_a_compressed_file_are_counted(made, compress):
    chance = random.Random(1)
    whole = pcap([chance.randbytes(100) for _ in range(12_000)])
    at = 24 + 4_000 * 116
    damaged = whole[: at + 8] + b"\xff" * 8 + whole[at + 16 :]
    count = unread(made(compress(damaged)))
    # What is still compressed is counted as it is in the file, and random bytes stay as long.
    assert 0.8 * (len(whole) - at) < count < 1.1 * (len(whole) - at)


@pytest.mark.parametrize("compress", COMPRESS.values(), ids=COMPRESS)
def test_bytes_behind_damage_of_the_compression_are_counted(made, compress):
    chance = random.Random(1)
    packed = bytearray(compress(pcap([chance.randbytes(1000) for _ in range(1_500)])))
    middle = len(packed) // 2
    packed[middle : middle + 2000] = bytes(2000)
    count = unread(made(bytes(packed)))
    assert 0.2 * len(packed) < count < 0.8 * len(packed)
    assert unread(made(compress(pcap()) + b"something else")) == len(b"something else")


def test_what_a_pipe_delivers_after_damage_is_not_awaited(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = pcap([b"x"]) + b"\xff" * 500

    def write():
        with pipe.open("wb") as end:
            end.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    assert unread(pipe) == 500
    writer.join()
