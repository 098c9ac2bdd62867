"""A live capture on a terminal: its view, and its end when the terminal is closed."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.live import Pipe
from support.office import DURING, configured, one_hello
from support.waiting import TIMEOUT, read_until, wait_until


@pytest.fixture
def shown(tmp_path: Path) -> tuple[subprocess.Popen[bytes], int, Pipe]:
    """A capture that reads a pipe and has a pseudoterminal; the process, the controlling end of
    the terminal, and the pipe."""
    pipe = Pipe(tmp_path / "pipe")
    main, other = pty.openpty()
    site = configured(tmp_path)
    command = [sys.executable, "-m", "netwatch", "live", "--source", "file", "--format", "jsonl"]
    process = subprocess.Popen(
        [*command, "-i", str(pipe.path), "-c", site, "-o", str(tmp_path / "out")],
        stdin=other, stdout=other, stderr=other, start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1"},
    )  # fmt: skip
    os.close(other)
    yield process, main, pipe
    process.kill()
    process.wait()
    pipe.close()


def test_the_view_shows_an_incident_and_restores_the_terminal(
    shown: tuple[subprocess.Popen[bytes], int, Pipe],
) -> None:
    process, main, pipe = shown
    read_until(main, b"packets")
    pipe.open()
    pipe.send(sorted(one_hello(DURING).frames))
    read_until(main, b"www.tiktok.com")
    process.send_signal(signal.SIGINT)
    output = read_until(main, b"anomalies     none")
    assert b"\x1b[?1049l" in output
    assert b"incidents     violation 1" in output
    assert process.wait(TIMEOUT) == 0
    os.close(main)


def test_the_view_shows_that_a_configuration_was_refused(
    shown: tuple[subprocess.Popen[bytes], int, Pipe], tmp_path: Path
) -> None:
    process, main, pipe = shown
    output = read_until(main, b"packets")
    pipe.open()
    site = tmp_path / "netwatch.yaml"
    before = site.read_text()
    site.write_text(before + "colour: red\n")
    process.send_signal(signal.SIGHUP)
    output = read_until(main, b"RELOAD REFUSED", output)
    output = read_until(main, b"unknown key 'colour'", output)
    site.write_text(before)
    process.send_signal(signal.SIGHUP)
    read_until(main, b"reloaded: policy", output)
    pipe.close()
    assert process.wait(TIMEOUT) == 0
    os.close(main)


def test_the_capture_ends_when_the_terminal_is_closed(
    shown: tuple[subprocess.Popen[bytes], int, Pipe], tmp_path: Path
) -> None:
    process, main, pipe = shown
    read_until(main, b"packets")
    pipe.open()
    pipe.send(sorted(one_hello(DURING).frames))
    wait_until(lambda: "open" in (tmp_path / "out").read_text())
    os.close(main)
    process.send_signal(signal.SIGHUP)
    assert process.wait(TIMEOUT) == 0
    assert "closed" in (tmp_path / "out").read_text()
