"""The view on a real pseudoterminal: it follows the size and restores the screen."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console
from support.waiting import read_until

from netwatch.watch.view import can_show

ENTER, LEAVE, HIDE, SHOW = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25l", b"\x1b[?25h"
PROGRAM = """
import select, signal, socket, sys, time
from rich.console import Console
from netwatch.watch.snapshot import Snapshot
from netwatch.watch.view import View

def take_snapshot():
    now = time.time()
    return Snapshot(now=now, started=now - 5, version="0.1.0", interfaces=("eth1",))

woken, wakeup = socket.socketpair()
wakeup.setblocking(False)
signal.set_wakeup_fd(wakeup.fileno())
# A shell that starts a command with & lets it ignore SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
print("before", flush=True)
try:
    with View(take_snapshot, Console(stderr=True)):
        # The socket ends this also where a signal came just before it.
        select.select([sys.stdin, woken], [], [])
        line = sys.stdin.readline()
        if "fail" in line:
            raise RuntimeError("on purpose")
except KeyboardInterrupt:
    pass
print("after", flush=True)
"""


class Terminal:
    """A program on a pseudoterminal."""

    def __init__(self, process: subprocess.Popen[bytes], main: int) -> None:
        self.process = process
        self.main = main
        self.output = b""

    def read_until(self, wanted: bytes, start: int = 0) -> None:
        """Read until the output contains `wanted` after the offset `start`."""
        self.output = read_until(self.main, wanted, self.output, start=start)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def terminal(**environment: str) -> Iterator[Terminal]:
    main, other = pty.openpty()
    keep = {key: os.environ[key] for key in ("PATH", "PYTHONPATH", "HOME") if key in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=other,
        stdout=other,
        stderr=other,
        env={**keep, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color"}
        | environment,
        start_new_session=True,
    )
    os.close(other)
    shown = Terminal(process, main)
    shown.resize(24, 80)
    try:
        yield shown
    finally:
        process.kill()
        process.wait()
        os.close(main)


@pytest.mark.parametrize("how", ["done", "fail", "interrupt"])
def test_the_terminal_is_restored(how: str) -> None:
    with terminal() as shown:
        shown.read_until(b"eth1")
        if how == "interrupt":
            shown.process.send_signal(signal.SIGINT)
        else:
            os.write(shown.main, f"{how}\n".encode())
        shown.read_until(b"on purpose" if how == "fail" else b"after")
        output = shown.output
    assert output.index(b"before") < output.index(ENTER) < output.index(b"eth1")
    left = output.rindex(LEAVE)
    assert left > output.rindex(b"anomalies")
    assert output.rindex(SHOW) > output.rindex(HIDE)
    afterwards = output[left:]
    assert (b"RuntimeError" in afterwards) == (how == "fail")


def test_the_view_follows_the_size_of_the_terminal() -> None:
    with terminal() as shown:
        shown.read_until(b"evidence")
        shown.resize(24, 150)
        shown.read_until(b"confidence", len(shown.output))
        shown.resize(4, 15)
        shown.read_until(b"too small", len(shown.output))
        os.write(shown.main, b"done\n")
        shown.read_until(b"after")


def test_no_color_disables_colours() -> None:
    with terminal(NO_COLOR="1") as shown:
        shown.read_until(b"anomalies")
        assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m", shown.output)


def test_a_view_needs_a_terminal_with_cursor_movement() -> None:
    assert can_show(Console(force_terminal=True, _environ={"TERM": "xterm"}))
    assert not can_show(Console(force_terminal=True, _environ={"TERM": "dumb"}))
    assert not can_show(Console(force_terminal=False))
