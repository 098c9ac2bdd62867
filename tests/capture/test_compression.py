import bz2
import gzip
import io
import lzma
import random
import struct
import subprocess
import sys
import time
import tracemalloc
from functools import cache
from itertools import pairwise

import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from support.made_captures import PACKETS, pcap, read

from netwatch.capture.compression import COMPRESSIONS, Library, recognise_compression
from netwatch.capture.decompression import DecompressedStream
from netwatch.capture.stream import FileStream
from netwatch.core.errors import CaptureError

ZSTD = zstandard.ZstdCompressor(write_checksum=True)
COMPRESS = {
    "gzip": gzip.compress,
    "bzip2": lambda data: bz2.compress(data, 1),
    "xz": lzma.compress,
    "zstd": ZSTD.compress,
    "lz4": lambda data: lz4.frame.compress(data, content_checksum=True),
}
MANY = [random.Random(n).randbytes(n * 31 % 900) for n in range(3000)]


@cache
def packed(name):
    """A capture of many packets, compressed once for all tests: xz takes a second."""
    return COMPRESS[name](pcap(MANY))


def test_every_compression_is_tested():
    assert set(COMPRESS) == set(COMPRESSIONS)


@pytest.fixture
def made(tmp_path):
    def write(data):
        path = tmp_path / "made"
        path.write_bytes(data)
        return path

    return write


def unpack(data, name, piece=1000):
    """All bytes that come out, and the notes."""
    stream = DecompressedStream(FileStream(io.BytesIO(data), []), name)
    buffer, out = bytearray(piece), []
    while got := stream.readinto(memoryview(buffer)):
        out.append(bytes(buffer[:got]))
    assert stream.position == len(data)
    return b"".join(out), stream.notes


@pytest.mark.parametrize("name", COMPRESS)
def test_whole(made, name):
    data = packed(name)
    assert recognise_compression(data[:8]) == name
    rows, notes = read(made(data))
    assert notes == []
    assert [row.data for row in rows] == MANY


@pytest.mark.parametrize("name", COMPRESS)
def test_several_members_are_one_capture(made, name):
    whole = pcap(MANY)
    cuts = [0, 10, 10, 5000, len(whole) - 3, len(whole)]
    parts = [COMPRESS[name](whole[a:b]) for a, b in pairwise(cuts)]
    rows, notes = read(made(b"".join(parts)))
    assert notes == []
    assert [row.data for row in rows] == MANY


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("size", [1, 4, 7, 512, 100_000])
def test_zeros_behind_are_padding(name, size):
    one = COMPRESS[name](b"one")
    assert unpack(one + bytes(size), name) == (b"one", [])
    assert unpack(one + bytes(size) + COMPRESS[name](b"two"), name) == (b"onetwo", [])


@pytest.mark.parametrize("name", COMPRESS)
@pytest.mark.parametrize("tail", [b"x", b"something else that is longer"])
def test_what_else_follows_is_noted(name, tail):
    out, (note,) = unpack_noted(COMPRESS[name](b"one") + tail, name)
    assert out == b"one"
    assert note.startswith(f"{name} data are followed by something else")


class Slow(FileStream):
    """A pipe whose writer sends so much at a time; `asked` is how often it was read."""

    asked = 0

    def _read(self, buffer):
        self.asked += 1
        return super()._read(buffer[:50_000])


@pytest.mark.parametrize("name", COMPRESS)
def test_a_buffer_is_filled_with_what_is_there_and_does_not_wait_for_more(name):
    data = random.Random(1).randbytes(200_000) + bytes(200_000)
    below = Slow(io.BytesIO(COMPRESS[name](data)), [])
    stream = DecompressedStream(below, name)
    buffer = bytearray(1 << 20)
    sizes, asked = [], []
    while got := stream.readinto(memoryview(buffer)):
        sizes.append(got)
        asked.append(below.asked)
    assert sum(sizes) == len(data)
    # What came in one piece makes one window, but for what only the next shows.
    assert len(sizes) <= below.asked
    assert all(later - before >= 1 for before, later in pairwise([0, *asked[:-1]]))


def unpack_noted(data, name):
    stream = DecompressedStream(FileStream(io.BytesIO(data), []), name)
    buffer, out = bytearray(1000), []
    while got := stream.readinto(memoryview(buffer)):
        out.append(bytes(buffer[:got]))
    return b"".join(out), stream.notes


@pytest.mark.parametrize("name", ["zstd", "lz4"])
def test_skippable_frames_are_skipped(name):
    one, two = COMPRESS[name](b"one"), COMPRESS[name](b"two")
    skip = b"\x5a\x2a\x4d\x18" + struct.pack("<I", 100_000) + bytes(range(250)) * 400
    assert unpack(one + skip + two + skip, name) == (b"onetwo", [])


def test_a_file_that_starts_with_a_skippable_frame(made):
    skip = b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"size"
    rows, notes = read(made(skip + ZSTD.compress(pcap())))
    assert (len(rows), notes) == (len(PACKETS), [])


@pytest.mark.parametrize("name", COMPRESS)
def test_every_prefix(made, name):
    data = COMPRESS[name](pcap())
    for cut in range(len(data)):
        try:
            rows, notes = read(made(data[:cut]))
        except CaptureError as error:
            assert "made: " in str(error)  # noqa: PT017 - most prefixes do not raise
        else:
            assert [row.data for row in rows] == list(PACKETS[: len(rows)])
            assert any(note.startswith(f"{name} data are truncated") for note in notes)


@pytest.mark.parametrize("name", COMPRESS)
def test_most_of_a_long_truncated_file_is_read(made, name):
    data = packed(name)
    rows, notes = read(made(data[: len(data) * 9 // 10]))
    assert [row.data for row in rows] == MANY[: len(rows)]
    assert len(rows) > len(MANY) * 0.8
    assert notes[0].startswith(f"{name} data are truncated")


@pytest.mark.parametrize("name", COMPRESS)
def test_a_wrong_checksum_at_the_end_costs_no_packet(made, name):
    data = bytearray(packed(name))
    at = {"gzip": -8, "bzip2": -3, "xz": -1, "zstd": -1, "lz4": -1}[name]
    data[at] ^= 0xFF
    rows, (note,) = read(made(bytes(data)))
    assert [row.data for row in rows] == MANY
    assert note.startswith(f"{name} data are damaged (")


@pytest.mark.parametrize("name", COMPRESS)
def test_damage_in_the_middle_leaves_what_was_before(made, name):
    data = bytearray(packed(name))
    middle = len(data) // 2
    data[middle : middle + 2000] = random.Random(1).randbytes(2000)
    rows, notes = read(made(bytes(data)))
    least = len(MANY) * 2 // 5
    assert [row.data for row in rows[:least]] == MANY[:least]
    assert notes


@pytest.mark.parametrize("name", COMPRESS)
def test_any_bytes_changed(made, name):
    chance = random.Random(7)
    whole = COMPRESS[name](pcap())
    for _ in range(150):
        data = bytearray(whole)
        data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            rows, _ = read(made(bytes(data)))
        except CaptureError:
            continue
        assert len(rows) <= 2000


@given(name=st.sampled_from(sorted(COMPRESS)), tail=st.binary(max_size=300))
def test_any_bytes_behind_a_magic(name, tail):
    out, notes = unpack_noted(COMPRESSIONS[name][0] + tail, name)
    assert len(notes) <= 1
    assert notes or out is not None


@pytest.mark.parametrize("name", COMPRESS)
def test_a_bomb_takes_no_memory(name):
    size = 32 << 20
    compressor = {
        "gzip": lambda: _Zlib(),
        "bzip2": bz2.BZ2Compressor,
        "xz": lambda: lzma.LZMACompressor(preset=0),
        "zstd": lambda: ZSTD.compressobj(),
        "lz4": _Lz4,
    }[name]()
    zeros = bytes(1 << 20)
    parts = [compressor.compress(zeros) for _ in range(size >> 20)]
    data = b"".join([*parts, compressor.flush()])
    assert len(data) < size // 100
    stream = DecompressedStream(FileStream(io.BytesIO(data), []), name)
    buffer = memoryview(bytearray(1 << 20))
    total = 0
    tracemalloc.start()
    try:
        while got := stream.readinto(buffer):
            total += got
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == size
    assert peak < 24 << 20


class _Zlib:
    def __init__(self):
        self._out = io.BytesIO()
        self._file = gzip.GzipFile(fileobj=self._out, mode="wb")

    def compress(self, data):
        self._file.write(data)
        return b""

    def flush(self):
        self._file.close()
        return self._out.getvalue()


class _Lz4:
    def __init__(self):
        self._lz4 = lz4.frame.LZ4FrameCompressor()
        self._head = self._lz4.begin()

    def compress(self, data):
        head, self._head = self._head, b""
        return head + self._lz4.compress(data)

    def flush(self):
        return self._lz4.flush()


def skippable(size, number=0):
    return bytes([0x50 | number % 16]) + b"\x2a\x4d\x18" + struct.pack("<I", size) + bytes(size)


FILLERS = {
    "empty members": lambda name: COMPRESS[name](b""),
    "empty members and zeros": lambda name: COMPRESS[name](b"") + bytes(5),
    "zeros": lambda name: bytes(1000),
    "skippable frames": lambda name: skippable(3) if name in ("zstd", "lz4") else b"\0",
    "both": lambda name: COMPRESS[name](b"") + (skippable(0) if name in ("zstd", "lz4") else b""),
}


@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize("name", COMPRESS)
def test_padding_takes_next_to_no_work(name, filler, monkeypatch):
    """Each call of `_begin_member` and each new decompressor is work; a MiB of padding may take
    only a few of them."""
    made, begun = [], []
    new_member, errors = COMPRESSIONS[name].load()

    def counted():
        made.append(name)
        return new_member()

    begin = DecompressedStream._begin_member
    monkeypatch.setattr(
        DecompressedStream, "_begin_member", lambda stream: (begun.append(name), begin(stream))
    )
    monkeypatch.setitem(
        COMPRESSIONS, name, COMPRESSIONS[name]._replace(load=lambda: Library(counted, errors))
    )
    piece = FILLERS[filler](name)
    padding = piece * ((1 << 20) // len(piece))
    compressed = COMPRESS[name](b"one") + padding + COMPRESS[name](b"two") + padding
    assert unpack(compressed, name) == (b"onetwo", [])
    assert len(made) < 50
    assert len(begun) < 50


@pytest.mark.parametrize("name", COMPRESS)
def test_many_members_take_no_longer_where_much_is_read_at_once(name):
    """A member may cost time, but not a copy of everything that was read ahead."""
    members = b"".join(COMPRESS[name](bytes([n])) for n in range(250)) * 16

    def seconds(at_once):
        stream = DecompressedStream(Limited(io.BytesIO(members), [], at_once), name)
        buffer = memoryview(bytearray(1 << 16))
        started = time.process_time()
        total = 0
        while got := stream.readinto(buffer):
            total += got
        assert total == 4_000
        return time.process_time() - started

    much, little = (min(seconds(size) for _ in range(3)) for size in (1 << 20, 1 << 13))
    assert much < 2.5 * little


class Limited(FileStream):
    """A file of which at most `at_once` bytes are read at once."""

    def __init__(self, file, notes, at_once):
        super().__init__(file, notes)
        self._at_once = at_once

    def _read(self, buffer):
        return super()._read(buffer[: self._at_once])


def pieces(name):
    """Members and padding, each with what it contains."""
    members = [(COMPRESS[name](content), content) for content in (b"", b"x", b"longer" * 50)]
    frames = [skippable(size) for size in (0, 1, 300)] if name in ("zstd", "lz4") else []
    return [*members, *((padding, b"") for padding in (b"\0", bytes(7), bytes(300), *frames))]


@given(
    name=st.sampled_from(sorted(COMPRESS)),
    order=st.lists(st.integers(0, 99), max_size=60),
    at_once=st.sampled_from([1, 7, 8, 9, 100, 5000]),
)
def test_padding_between_members_changes_nothing(name, order, at_once):
    known = pieces(name)
    chosen = [known[0], *(known[number % len(known)] for number in order)]
    compressed = b"".join(piece for piece, _ in chosen)
    stream = DecompressedStream(Limited(io.BytesIO(compressed), [], at_once), name)
    buffer, out = memoryview(bytearray(100)), []
    while got := stream.readinto(buffer):
        out.append(bytes(buffer[:got]))
    expected = b"".join(content for _, content in chosen)
    assert (b"".join(out), stream.notes) == (expected, [])


@pytest.fixture(params=["isal", "zlib"])
def gzip_library(request, monkeypatch):
    """Each of the libraries that decompress gzip."""
    if request.param == "isal":
        pytest.importorskip("isal.igzip_lib")
    else:
        monkeypatch.setitem(sys.modules, "isal", None)
    return request.param


@pytest.mark.parametrize("tail", [b"", bytes(300), gzip.compress(b"") * 100])
def test_every_library_reads_gzip(gzip_library, tail):
    made = COMPRESSIONS["gzip"].load().new_member()
    assert (type(made).__name__ == "IgzipDecompressor") == (gzip_library == "isal")
    content = random.Random(5).randbytes(500_000) + bytes(3_000_000)
    members = gzip.compress(content) + tail + gzip.compress(content, 1)
    assert unpack(members, "gzip") == (content * 2, [])


def test_every_library_notes_damaged_gzip(gzip_library):
    content = random.Random(6).randbytes(300_000)
    compressed = bytearray(gzip.compress(content))
    compressed[-6] ^= 1
    out, (note,) = unpack_noted(bytes(compressed), "gzip")
    assert out == content
    assert note.startswith("gzip data are damaged (")
    out, (note,) = unpack_noted(bytes(compressed[:200_000]), "gzip")
    assert content.startswith(out)
    assert len(out) > 150_000
    assert note.startswith("gzip data are truncated")


def test_libraries_are_imported_only_when_they_are_used():
    code = (
        "import sys, netwatch.engine.capture_files\n"
        "names = ('lz4', 'zstandard', 'bz2', 'lzma', 'isal')\n"
        "print([name for name in names if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
