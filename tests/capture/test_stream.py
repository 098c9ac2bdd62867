import io
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.capture.stream import FileStream, StreamBuffer


class Dribble(io.RawIOBase):
    """A file that gives at most `most` bytes at once."""

    def __init__(self, data, most):
        self._file = io.BytesIO(data)
        self._most = most

    def readinto(self, buffer):
        return self._file.readinto(memoryview(buffer)[: self._most])


class Failing(Dribble):
    def readinto(self, buffer):
        got = super().readinto(buffer)
        if not got:
            raise OSError(5, "Input/output error")
        return got


def everything(stream, piece=7):
    buffer, out = bytearray(piece), b""
    while got := stream.readinto(memoryview(buffer)):
        out += buffer[:got]
    return out


@given(data=st.binary(max_size=50), most=st.integers(1, 9), peeks=st.lists(st.integers(0, 20)))
def test_peeking_takes_nothing(data, most, peeks):
    stream = FileStream(Dribble(data, most), [])
    for size in peeks:
        assert stream.peek(size) == data[:size]
    assert everything(stream) == data
    assert stream.position == len(data)


def test_a_failing_disk_is_a_note():
    stream = FileStream(Failing(b"abc", 2), [])
    assert everything(stream) == b"abc"
    assert stream.notes == ["reading stopped at byte 3: Input/output error"]


def test_an_empty_pipe_that_does_not_block_is_waited_for():
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with open(reader, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor, no path
        stream = FileStream(file, [])
        feeder = threading.Thread(target=lambda: (os.write(writer, b"late"), os.close(writer)))
        feeder.start()
        assert everything(stream) == b"late"
        feeder.join()


@pytest.mark.parametrize("ours", [True, False])
def test_closes_only_its_own_files(ours):
    file = io.BytesIO()
    FileStream(file, [], close=ours).close()
    assert file.closed == ours


@given(data=st.binary(max_size=200), most=st.integers(1, 50), steps=st.lists(st.integers(0, 40)))
def test_buffer_gives_every_byte_in_order(data, most, steps):
    buffer = StreamBuffer(FileStream(Dribble(data, most), []), size=8, max_size=64)
    taken = 0
    for step in steps:
        assert buffer.stream_offset(buffer.start) == taken
        assert buffer.ensure(step) == (len(data) - taken >= step)
        have = min(step, buffer.available)
        piece = bytes(buffer.buffer[buffer.start : buffer.start + have])
        assert piece == data[taken : taken + have]
        buffer.start += have
        taken += have


@given(data=st.binary(max_size=200), most=st.integers(1, 50), steps=st.lists(st.integers(0, 90)))
def test_buffer_skips(data, most, steps):
    buffer = StreamBuffer(FileStream(Dribble(data, most), []), size=8, max_size=8)
    taken = 0
    for step in steps:
        if not buffer.skip(step):
            assert len(data) - taken < step
            return
        taken += step
        assert buffer.stream_offset(buffer.start) == taken
        assert len(buffer.buffer) == 8


def test_buffer_grows_with_what_comes_and_not_beyond():
    buffer = StreamBuffer(FileStream(io.BytesIO(bytes(100)), []), size=8, max_size=32)
    assert not buffer.ensure(1000)
    assert len(buffer.buffer) == buffer.available == 32
    buffer = StreamBuffer(FileStream(io.BytesIO(bytes(10)), []), size=8, max_size=1 << 40)
    assert not buffer.ensure(1 << 39)
    assert len(buffer.buffer) == 16
    assert buffer.available == 10
