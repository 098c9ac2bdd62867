"""The screen: complete, within its size, and safe against control characters from packets.

The view on a real pseudoterminal: it follows the size and restores the screen.
"""

import fcntl
import io
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
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from support.snapshots import BUSY, ITEM, NOW, OPEN, QUIET
from support.waiting import read_until

from netwatch.core.verdict import App, Device, Network
from netwatch.watch.screen import can_show, screen
from netwatch.watch.snapshot import ContactCount, Message, OutputQueue, Rates, Snapshot

RATES = Rates(98_234.0, 7.81e8, 312.4, 0.0, tuple(float(number) for number in range(120)))
HOSTILE = [
    "\x1b[2J\x1b]0;title\x07",
    "a\r\nb",
    "\u202emoc",
    "[red]x[/red]",
    "\t",
    "日本語" * 9,
    "x" * 300,
]


def shown(snapshot: Snapshot, rates: Rates, width: int, height: int, **options: object) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, height=height, color_system=None, **options)
    console.print(screen(snapshot, rates, width, height))
    return stream.getvalue()


@pytest.mark.parametrize(("width", "height"), [(130, 40), (80, 24), (200, 60)])
def test_every_part_is_shown(width: int, height: int) -> None:
    text = shown(BUSY, RATES, width, height)
    for part in ("eth1, eth2", "3 d 04:05:12", "healthy", "98.2 k/s", "12 in total", "781 Mbit/s"):
        assert part in text
    for part in ("312/s", "peak 119/s", "1 open", "9 violation, 2 advisory", "TikTok", "ws-021"):
        assert part in text
    for part in ("tls-sni v16-webapp", "ws-000", "encrypted-dns", "402", "blind spots: 6 %"):
        assert part in text
    for part in ("siem: 5 waiting, 1 lost", "tcp-retransmission 1,200"):
        assert part in text
    assert "not-ip" not in text


@pytest.mark.parametrize("width", [56, 80, 100, 130, 200])
def test_the_outcome_is_beside_the_verdict(width: int) -> None:
    text = shown(BUSY, RATES, width, 40)
    assert re.search(r"violation +(session +)?reached", text)
    assert re.search(r"advisory +(lookup +)?blocked", text)
    assert ("session" in text) is (width >= 96)


def test_packets_that_could_not_be_read_are_a_blind_spot() -> None:
    counts = {"wrapping-unknown-0x9999": 4_000, "encrypted-link": 321, "not-ip": 99}
    text = shown(replace(BUSY, anomalies=counts), RATES, 130, 40)
    assert re.search(r"packets not read +4,321", text)
    assert "packets not read" not in shown(BUSY, RATES, 130, 40)


def test_a_low_terminal_shows_the_newest_incidents() -> None:
    recent = tuple(
        replace(OPEN, device=replace(OPEN.device, hostname=f"host-{number}")) for number in range(9)
    )
    text = shown(replace(BUSY, recent=recent), RATES, 80, 10)
    assert "host-0" in text
    assert "host-8" not in text
    assert "98.2 k/s" in text


def test_an_unhealthy_capture() -> None:
    unhealthy = replace(BUSY, last_drop=NOW - 3, interfaces_down=("eth2",))
    text = shown(unhealthy, RATES, 120, 20)
    assert "UNHEALTHY  packets dropped 3 s ago, 12 in total; interface eth2 is down" in text


def test_a_capture_that_has_just_begun() -> None:
    text = shown(QUIET, Rates(), 80, 24)
    assert "up 00:00:03" in text
    assert "packets 0/s" in text
    assert "0 open; reported: none" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (999.6, "1.00 k"),
        (12_345, "12.3 k"),
        (4.56e8, "456 M"),
        (1e15, "1000 T"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert f"packets {text}/s" in shown(BUSY, replace(RATES, packets=float(value)), 120, 24)


@given(
    st.integers(20, 240),
    st.integers(5, 70),
    st.booleans(),
    st.lists(st.sampled_from(HOSTILE) | st.text(max_size=40), min_size=8, max_size=8),
)
def test_any_text_stays_within_any_size(
    width: int, height: int, unhealthy: bool, words: list[str]
) -> None:
    item = replace(ITEM, name=words[0])
    alert = replace(
        OPEN,
        evidence=(item,),
        app=App(words[1], words[1], words[1], words[1]),
        device=Device(words[2], words[3], None, words[2] or None, None, "service"),
        network=Network(words[4], "service"),
    )
    snapshot = replace(
        BUSY,
        recent=(alert,) * 30,
        apps=(ContactCount(words[5], 10**9, 1),),
        devices=(ContactCount(words[6], 5, 1),) * 30,
        outputs={words[7]: OutputQueue(1, NOW - 1000)} if unhealthy else {},
        interfaces=(words[7],),
    )
    text = shown(snapshot, RATES, width, height)
    lines = text.split("\n")
    assert lines.pop() == ""
    assert len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)
    assert not {char for char in text if ord(char) < 32} - {"\n"}
    assert not set(text) & set("\u202e\u202d\u2066\x7f\x9b")


def test_no_color_disables_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    def coloured(**environment: str) -> str:
        stream = io.StringIO()
        console = Console(
            file=stream, force_terminal=True, width=100, _environ={"TERM": "xterm", **environment}
        )
        console.print(screen(BUSY, RATES, 100, 24))
        return stream.getvalue()

    assert "\x1b[1;31m" in coloured()
    plain = coloured(NO_COLOR="1")
    assert not any(f"\x1b[{code}" in plain for code in ("31", "1;31", "33", "36"))


@pytest.mark.parametrize("height", [10, 24, 60])
def test_a_refused_configuration_is_shown_until_one_is_applied(height: int) -> None:
    error = (
        "/etc/netwatch/netwatch.yaml:3: unknown key 'colour'\nnetwatch.yaml:9: unknown app 'tictoc'"
    )
    text = shown(replace(BUSY, reload_error=error), RATES, 110, height)
    assert "RELOAD REFUSED  netwatch.yaml:3: unknown key 'colour' (and 1 more mistake)" in text
    assert len(text.splitlines()) <= height
    assert "RELOAD" not in shown(BUSY, RATES, 110, height)


def test_the_last_messages_are_shown() -> None:
    messages = tuple(Message(NOW + number, f"output siem: failure {number}") for number in range(9))
    text = shown(replace(BUSY, messages=messages), RATES, 110, 40)
    assert "failure 4" not in text
    for number in range(5, 9):
        assert f"09:00:0{number}  output siem: failure {number}" in text
    assert len(text.splitlines()) <= 40
    low = shown(replace(BUSY, messages=messages), RATES, 110, 10)
    assert "failure 8" in low
    assert len(low.splitlines()) <= 10


@pytest.mark.parametrize("text", HOSTILE)
def test_messages_cannot_control_the_terminal(text: str) -> None:
    messages = (Message(NOW, text),)
    output = shown(replace(BUSY, messages=messages, reload_error=text + "!"), RATES, 80, 30)
    assert all(character == "\n" or character.isprintable() for character in output)
    assert len(output.splitlines()) <= 30


ENTER, LEAVE, HIDE, SHOW = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25l", b"\x1b[?25h"
PROGRAM = """
import select, signal, socket, sys, time
from rich.console import Console
from netwatch.watch.snapshot import Snapshot
from netwatch.watch.screen import View

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


def test_no_color_disables_colours_of_the_view() -> None:
    with terminal(NO_COLOR="1") as shown:
        shown.read_until(b"anomalies")
        assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m", shown.output)


def test_a_view_needs_a_terminal_with_cursor_movement() -> None:
    assert can_show(Console(force_terminal=True, _environ={"TERM": "xterm"}))
    assert not can_show(Console(force_terminal=True, _environ={"TERM": "dumb"}))
    assert not can_show(Console(force_terminal=False))
