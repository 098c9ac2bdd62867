"""A thread that decompresses ahead changes nothing but the time, and ends with its reader."""

import bz2
import gzip
import io
import lzma
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from support.made_captures import pcap
from support.waiting import wait_until

from netwatch.capture import decompression, files
from netwatch.capture.compression import COMPRESSIONS
from netwatch.capture.decompression import BATCHES, OUTPUT_SIZE, DecompressedStream, ReadAhead
from netwatch.capture.files import open_source
from netwatch.capture.stream import FileStream

COMPRESS = {
    "gzip": lambda data: gzip.compress(data, 1),
    "bzip2": lambda data: bz2.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "lz4": lambda data: lz4.frame.compress(data, content_checksum=True),
}
CONTENT = b"".join(random.Random(n).randbytes(700) + bytes(n % 5000) for n in range(600))


def several(name: str) -> bytes:
    """A file of many members, some of them empty."""
    pieces = [CONTENT[at : at + 9000] for at in range(0, 300_000, 9000)]
    return b"".join(COMPRESS[name](piece) for piece in (b"", *pieces, b"", b"end"))


def damaged(data: bytes) -> bytes:
    at = len(data) * 3 // 4
    return data[:at] + bytes(byte ^ 0x55 for byte in data[at : at + 64]) + data[at + 64 :]


FORMS = {
    "whole": lambda name: COMPRESS[name](CONTENT),
    "members": several,
    "truncated": lambda name: COMPRESS[name](CONTENT)[:-3000],
    "damaged": lambda name: damaged(COMPRESS[name](CONTENT)),
    "followed": lambda name: COMPRESS[name](CONTENT) + b"something else, no compression",
    "empty": lambda name: COMPRESS[name](b""),
}


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """After each test, the thread of every reader has ended."""
    yield
    wait_until(lambda: not threads(), "no thread is left")


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "netwatch-decompress"]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads are started for small files, and hand over small batches."""
    monkeypatch.setattr(decompression, "START", 5000)
    monkeypatch.setattr(decompression, "BATCH", 20_000)


def direct(data: bytes, name: str) -> DecompressedStream:
    return DecompressedStream(FileStream(io.BytesIO(data), []), name, len(data))


def history(stream: DecompressedStream | ReadAhead, size: int, step: int) -> list[object]:
    """What a reader sees after every `step` bytes, and at the end."""
    seen: list[object] = []
    buffer = bytearray(step)
    while True:
        filled = 0
        while filled < step and (got := stream.readinto(memoryview(buffer)[filled:])):
            filled += got
        seen.append((bytes(buffer[:filled]), stream.left(size), stream.damaged, [*stream.notes]))
        if filled < step:
            return [*seen, stream.position]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", COMPRESSIONS)
def test_a_reader_sees_the_same(name: str, form: str) -> None:
    data = FORMS[form](name)
    for step in (777, 60_000):
        ahead = ReadAhead(direct(data, name), len(data))
        assert history(ahead, len(data), step) == history(direct(data, name), len(data), step)
        assert ahead.peek(1) == b""
        ahead.close()


@pytest.mark.usefixtures("at_once")
def test_it_stays_a_few_batches_ahead() -> None:
    data = gzip.compress(CONTENT * 8, 1)
    inner = direct(data, "gzip")
    made: list[memoryview] = []
    advance = inner.advance

    def counted() -> memoryview:
        made.append(advance())
        return made[-1]

    inner.advance = counted  # type: ignore[method-assign]
    ahead = ReadAhead(inner, len(data))
    for _ in range(2):
        ahead.readinto(memoryview(bytearray(5000)))
    wait_until(lambda: len(made) >= BATCHES, "batches were made")
    threads()[0].join(0.2)
    bound = (BATCHES + 1) * (decompression.BATCH + OUTPUT_SIZE)
    assert sum(map(len, made)) <= bound < 8 * len(CONTENT)
    ahead.close()
    assert threads() == []
    ahead.close()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("error", [RuntimeError("a fault"), MemoryError()])
def test_an_error_in_the_thread_reaches_the_reader(error: Exception) -> None:
    data = gzip.compress(CONTENT, 1)
    inner = direct(data, "gzip")
    ahead = ReadAhead(inner, len(data))
    assert ahead.readinto(memoryview(bytearray(5000)))

    def fail() -> memoryview:
        raise error

    inner.advance = fail  # type: ignore[method-assign]
    with pytest.raises(type(error)):
        history(ahead, len(data), 300_000)
    assert ahead.readinto(memoryview(bytearray(10))) == 0
    ahead.close()


def write(path: Path, packets: int) -> str:
    path.write_bytes(
        gzip.compress(pcap([random.Random(n).randbytes(900) for n in range(packets)]), 1)
    )
    return str(path)


def test_only_large_files_have_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = write(tmp_path / "small.gz", 100), write(tmp_path / "large.gz", 9000)
    for cpus, path, expected in ((2, small, 0), (2, large, 1), (1, large, 0)):
        monkeypatch.setattr(files, "usable_cpus", lambda cpus=cpus: cpus)
        found = packets = 0
        for block in open_source(path).blocks():
            packets += block.count
            found = max(found, len(threads()))
        assert packets == (100 if path == small else 9000)
        assert found == expected


@pytest.mark.usefixtures("at_once")
def test_a_reader_that_stops_early_ends_the_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "usable_cpus", lambda: 2)
    blocks = open_source(write(tmp_path / "large.gz", 6000)).blocks()
    next(blocks)
    next(blocks)
    assert len(threads()) == 1
    del blocks
    assert threads() == []
