"""Messages are whole lines; what does not fit is counted, and the count is reported. Bytes reach a
slow reader in order; whoever writes them never waits.
"""

import errno
import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.waiting import read_until, wait_until

from netwatch.core.text import ESCAPE_UNENCODABLE
from netwatch.live.display import (
    HELD_LINES,
    LINE_LIMIT,
    SCREEN_BACKLOG,
    MessageStream,
    ScreenStream,
    StreamWriter,
)


class Writer:
    """Takes data while it has room."""

    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.full = False
        self.queued = 0

    def put(self, data: bytes, *, required: bool = False) -> bool:
        if self.full and not required:
            return False
        self.data.append(data)
        return True


def stream(writer: Writer | None) -> MessageStream:
    return MessageStream(writer, "utf-8")  # type: ignore[arg-type]


def test_a_line_is_written_when_it_is_complete() -> None:
    writer = Writer()
    messages = stream(writer)
    print("one", "two", file=messages)
    messages.write("thr")
    assert writer.data == [b"one two\n"]
    messages.write("ee\nfour")
    assert writer.data[1:] == [b"three\n"]


def test_lines_that_do_not_fit_are_counted_and_reported() -> None:
    writer = Writer()
    messages = stream(writer)
    writer.full = True
    for number in range(3):
        messages.write(f"{number}\n")
    assert messages.discarded == 3
    writer.full = False
    messages.write("again\n")
    messages.write("and again\n")
    lost = b"netwatch: 3 messages could not be shown and were discarded\n"
    assert writer.data == [lost, b"again\n", b"and again\n"]
    assert messages.discarded == 3


def test_lines_are_held_while_the_view_is_shown() -> None:
    writer = Writer()
    messages = stream(writer)
    messages.hold()
    for number in range(HELD_LINES + 1):
        messages.write(f"{number}\n")
    assert writer.data == []
    messages.release()
    assert writer.data[0] == b"netwatch: 1 message could not be shown and was discarded\n"
    assert writer.data[1:] == [b"%d\n" % number for number in range(1, HELD_LINES + 1)]
    messages.write("after\n")
    assert writer.data[-1] == b"after\n"


def test_without_standard_error_every_line_is_discarded() -> None:
    messages = stream(None)
    messages.write("text\n")
    assert (messages.discarded, messages.queued) == (1, 0)


def test_a_line_without_an_end_is_split() -> None:
    writer = Writer()
    messages = stream(writer)
    for _ in range(5):
        messages.write("x" * LINE_LIMIT)
    assert sum(map(len, writer.data)) >= 4 * LINE_LIMIT


def test_lines_of_several_threads_stay_whole() -> None:
    writer = Writer()
    messages = stream(writer)

    def write(letter: str) -> None:
        for _ in range(500):
            messages.write(letter * 20 + "\n")

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(writer.data)) == [letter * 20 + b"\n" for letter in (b"a", b"b", b"c", b"d")]
    assert len(writer.data) == 2000


@given(st.lists(st.text(max_size=40)))
def test_any_text_arrives_as_it_was_written(texts: list[str]) -> None:
    writer = Writer()
    messages = stream(writer)
    for text in texts:
        messages.write(text)
    messages.write("\n")
    expected = ("".join(texts) + "\n").encode("utf-8", ESCAPE_UNENCODABLE)
    assert b"".join(writer.data) == expected


def test_a_frame_is_left_out_while_the_terminal_stalls() -> None:
    writer = Writer()
    screen = ScreenStream(writer, "utf-8", terminal=True)  # type: ignore[arg-type]
    screen.write("first")
    writer.queued = SCREEN_BACKLOG
    screen.write("second")
    screen.end()
    screen.write("restored")
    assert writer.data == [b"first", b"restored"]
    assert screen.isatty()


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
