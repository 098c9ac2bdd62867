"""A capture goes on, and ends when it is told to, while nobody reads its standard error."""

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from craft import Host
from support.live import Pipe
from support.office import DURING, PERSONAL, configured, one_hello
from support.waiting import TIMEOUT, read_until, wait_until


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    pipe = Pipe(tmp_path / "pipe")
    yield pipe
    pipe.close()


def client(number: int) -> Host:
    """One of many devices."""
    return Host(f"10.20.1.{number + 30}", f"02:00:00:20:02:{number:02x}")


def full_pipe() -> tuple[int, int]:
    """The ends of a pipe into which nothing more fits."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x")
    os.set_blocking(writing, True)
    return reading, writing


@contextmanager
def capture(
    folder: Path,
    pipe: Pipe,
    *arguments: str,
    stdout: int,
    stderr: int,
    program: Sequence[str] = ("-m", "netwatch"),
) -> Iterator[subprocess.Popen[bytes]]:
    """A capture that reads the pipe, and is killed at the end."""
    command = [sys.executable, *program, "live", "--source", "file", "-i", str(pipe.path)]
    process = subprocess.Popen(
        [*command, "-c", configured(folder), "--format", "jsonl", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def statuses(path: Path) -> list[str]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["status"] for line in lines]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_pipe_that_nobody_reads_delays_neither_records_nor_the_end(
    tmp_path: Path, pipe: Pipe, number: signal.Signals
) -> None:
    reading, writing = full_pipe()
    out = tmp_path / "out"
    with capture(tmp_path, pipe, "-o", str(out), stdout=writing, stderr=writing) as live:
        pipe.open()
        pipe.send(one_hello(DURING).frames)
        wait_until(lambda: statuses(out) == ["open"])
        pipe.send(one_hello(DURING, PERSONAL).frames)
        wait_until(lambda: statuses(out) == ["open", "open"])
        live.send_signal(number)
        assert live.wait(TIMEOUT) == 0
    assert sorted(statuses(out)) == ["closed", "closed", "open", "open"]
    os.close(reading)
    os.close(writing)


def test_records_and_messages_in_one_full_pipe(tmp_path: Path, pipe: Pipe) -> None:
    reading, writing = full_pipe()
    with capture(tmp_path, pipe, stdout=writing, stderr=writing) as live:
        pipe.open()
        for number in range(20):
            pipe.send(one_hello(DURING, client(number)).frames)
        output = b""
        while output.count(b'"status":"open"') < 20:
            output += os.read(reading, 65536)
        live.send_signal(signal.SIGTERM)
        output = read_until(reading, b"incidents     violation 20", output)
        assert live.wait(TIMEOUT) == 0
    assert output.count(b"netwatch: opened violation") == 20
    os.close(reading)
    os.close(writing)


def test_a_second_signal_ends_it_at_once(tmp_path: Path, pipe: Pipe) -> None:
    reading, writing = full_pipe()
    with capture(tmp_path, pipe, stdout=writing, stderr=writing) as live:
        pipe.open()
        pipe.send(one_hello(DURING).frames)
        status = Path(f"/proc/{live.pid}/status")
        # SIGTERM is caught (bit 14 of the mask) from the moment the capture runs.
        wait_until(lambda: int(status.read_text().split("SigCgt:")[1].split()[0], 16) >> 14 & 1)
        # Of two that come before the first is seen, the kernel keeps one.
        wait_until(
            lambda: live.poll() is not None or live.send_signal(signal.SIGTERM), interval=0.1
        )
    os.close(reading)
    os.close(writing)


def test_a_terminal_that_stalls_does_not_delay_the_end(tmp_path: Path, pipe: Pipe) -> None:
    main, other = pty.openpty()
    # Each frame of the view fills the whole screen, so a few fill the buffer of the terminal.
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("4H", 120, 400, 0, 0))
    out = tmp_path / "out"
    with capture(tmp_path, pipe, "-o", str(out), stdout=other, stderr=other) as live:
        output = read_until(main, b"packets")
        pipe.open()
        # Nobody reads the terminal from now on, so it fills up with frames of the view.
        for number in range(10):
            pipe.send(one_hello(DURING, client(number)).frames)
            wait_until(lambda number=number: len(statuses(out)) > number)
        wait_until(lambda: not select.select([], [other], [], 0)[1], "the terminal is full")
        live.send_signal(signal.SIGTERM)
        assert live.wait(TIMEOUT) == 0
    assert statuses(out).count("closed") == 10
    assert b"\x1b[?1049h" in output
    os.close(main)
    os.close(other)


DEFECT = """
import sys
from netwatch.cli import main
from netwatch.live.worker import Worker

def process(self, block):
    raise KeyError("on purpose")

Worker._process = process
sys.exit(main(sys.argv[1:]))
"""


def test_a_defect_in_a_worker_ends_the_capture(tmp_path: Path, pipe: Pipe) -> None:
    reading, writing = full_pipe()
    program = ("-c", DEFECT)
    with capture(tmp_path, pipe, stdout=writing, stderr=writing, program=program) as live:
        pipe.open()
        pipe.send(one_hello(DURING).frames)
        assert live.wait(TIMEOUT) == 1
    os.close(reading)
    os.close(writing)


def test_the_traceback_of_a_worker_is_in_the_log(tmp_path: Path, pipe: Pipe) -> None:
    reading, writing = os.pipe()
    program = ("-c", DEFECT)
    with capture(tmp_path, pipe, stdout=writing, stderr=writing, program=program) as live:
        pipe.open()
        pipe.send(one_hello(DURING).frames)
        log = read_until(reading, b"stopped: a worker failed: KeyError: 'on purpose'")
        assert live.wait(TIMEOUT) == 1
    assert b"Traceback (most recent call last):" in log
    assert b", in process" in log
    os.close(reading)
    os.close(writing)
