"""Bytes reach a slow reader in order; whoever writes them never waits."""

import errno
import os
from collections.abc import Iterator

import pytest
from support.waiting import read_until, wait_until

from netwatch.live.stream_writer import StreamWriter


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(writing)


def test_bytes_arrive_in_order_however_slow_the_reader(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = StreamWriter(writing, 1 << 20)
    sent = b"".join(b"%d\n" % number for number in range(50_000))
    for at in range(0, len(sent), 1000):
        assert writer.put(sent[at : at + 1000])
    assert writer.queued > 0
    assert read_until(reading, sent[-100:]) == sent
    assert writer.close(1) == 0
    os.close(reading)


def test_beyond_the_limit_data_is_discarded_unless_it_is_required(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = StreamWriter(writing, 100_000)
    taken = sum(writer.put(b"x" * 1000) for _ in range(1000))
    # The pipe takes some 64 KiB in addition.
    assert 100 <= taken <= 200
    assert not writer.put(b"x" * 100_001)
    assert writer.put(b"y" * 100_001, required=True)
    assert writer.queued > 100_000
    output = read_until(reading, b"y" * 100_001)
    assert len(output) == taken * 1000 + 100_001
    assert writer.close(1) == 0
    os.close(reading)


def test_closing_waits_only_for_a_reader_that_reads(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = StreamWriter(writing, 1 << 20)
    writer.put(b"x" * 500_000)
    assert 400_000 < writer.close(0.1) <= 500_000
    assert not writer.put(b"more")
    os.close(reading)


def test_a_reader_that_has_gone_is_an_error(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.close(reading)
    writer = StreamWriter(writing, 100)
    writer.put(b"x")
    wait_until(lambda: isinstance(writer.error, BrokenPipeError))
    assert writer.close(10) == 1


def test_a_non_blocking_descriptor_loses_nothing(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    writer = StreamWriter(writing, 1 << 20)
    writer.put(b"x" * 300_000 + b"end")
    assert len(read_until(reading, b"end")) == 300_003
    assert writer.close(1) == 0
    os.close(reading)


def test_what_a_full_device_refused_is_written_when_there_is_room(
    pipe: tuple[int, int],
) -> None:
    reading, writing = pipe
    device = os.open("/dev/full", os.O_WRONLY)
    writer = StreamWriter(device, 100)
    writer.put(b"text")
    wait_until(lambda: writer.error is not None and writer.error.errno == errno.ENOSPC)
    os.dup2(writing, device)
    assert read_until(reading, b"text") == b"text"
    wait_until(lambda: writer.error is None)
    assert writer.close(1) == 0
    os.close(device)
    os.close(reading)
