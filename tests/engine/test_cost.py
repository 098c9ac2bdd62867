"""How much Python a packet costs, counted: a call too many for each fails.

Counted is what more of the same packets cost, so start and end do not matter, nor does
the machine. A limit is half a call above what there was when it was set: it is to come
down with what it holds, and to go up only for a reason.
"""

import random
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import handshakes
import messages
import pytest
import wire
from support.cost import Cost, cost
from support.office import configured

from netwatch.cli import main as netwatch
from netwatch.dissect.loop.loop import COMPILED

MAC, GATEWAY = bytes.fromhex("020000200107"), bytes.fromhex("02005e002001")
CLIENT, FAR, RESOLVER = bytes([10, 20, 1, 7]), bytes([203, 0, 113, 10]), bytes([10, 20, 0, 53])
START = 1680508800 * 10**6
"""2023-04-03T08:00:00Z in microseconds."""
OTHER, BANNED = "host-{:05}.example.org", "host-{:05}.tiktok.com"
"""Names, each of its own and all of one length, so that a message can be made into another."""


def test_what_is_counted() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        yield 2

    def inner() -> None:
        pass

    def work() -> None:
        for _ in range(5):
            inner()
        for _ in numbers():
            pass

    # A generator is entered once and gone on with twice.
    assert cost(work).calls == 5 + 3
    assert cost(work) == cost(work)
    assert cost(lambda: None) == Cost(0, 1)


# captures


class Capture:
    """Packets of one client, as a pcap."""

    def __init__(self, path: Path) -> None:
        self.path, self.time = path, START
        self.file = path.open("wb")
        self.writer = wire.Writer(self.file)

    def directions(self, far: bytes, sport: int, dport: int, protocol: int) -> tuple[Any, Any]:
        """Out and back."""
        out = wire.Direction(GATEWAY + MAC, None, CLIENT, far, (sport, dport), protocol, 1000)
        back = wire.Direction(MAC + GATEWAY, None, far, CLIENT, (dport, sport), protocol, 5000)
        return out, back

    def udp(self, direction: Any, payload: bytes) -> None:
        self.time += 100
        self.writer.udp(direction, self.time, wire.payload_of(payload))

    def tcp(self, direction: Any, payload: bytes, flags: int = 0x5018) -> None:
        self.time += 100
        self.writer.tcp(direction, self.time, flags, wire.payload_of(payload), direction.seq, 1)
        direction.seq += 1 if flags == wire.SYN else len(payload)

    def close(self) -> str:
        self.writer.flush()
        self.file.close()
        return str(self.path)


def data(capture: Capture, number: int) -> None:
    """Packets in the middle of one connection that look like nothing."""
    rng = random.Random(1)
    payloads = [b"\x90" + rng.randbytes(rng.randrange(40, 200)) for _ in range(50)]
    directions = capture.directions(FAR, 40000, 443, 6)
    for at in range(number):
        capture.tcp(directions[at % 3 > 0], payloads[at % 50])


def short(capture: Capture, number: int) -> None:
    """Packets of one QUIC connection with short headers."""
    rng = random.Random(1)
    payloads = [handshakes.quic_data(rng, rng.randrange(30, 300)) for _ in range(50)]
    directions = capture.directions(FAR, 40000, 443, 17)
    for at in range(number):
        capture.udp(directions[at % 3 > 0], payloads[at % 50])


def lookups(capture: Capture, number: int, names: str) -> None:
    """Queries and answers in turn, so many messages."""
    first = names.format(0)
    asked = messages.query(7, first, "A")
    answered = messages.answer(7, first, "A", [(first, "A", 60, "203.0.113.10")])
    out, back = capture.directions(RESOLVER, 40000, 53, 17)
    for at in range(number // 2):
        capture.udp(out, asked.replace(*renamed(at)))
        capture.udp(back, answered.replace(*renamed(at)))


def hellos(capture: Capture, number: int, names: str, *, cut: bool = False) -> None:
    """ClientHellos in one segment or cut in two, each opening a connection of its own."""
    rng = random.Random(1)
    hello = handshakes.records(handshakes.client_hello(names.format(0), rng, post_quantum=cut))
    for at in range(number):
        out, _ = capture.directions(FAR, 1024 + at, 443, 6)
        capture.tcp(out, wire.SYN_OPTIONS, wire.SYN)
        payload = hello.replace(*renamed(at))
        for part in (payload[:1400], payload[1400:]) if cut else (payload,):
            capture.tcp(out, part)


def initials(capture: Capture, number: int) -> None:
    """QUIC Initials, each opening a connection of its own."""
    rng = random.Random(1)
    for at in range(number):
        out, _ = capture.directions(FAR, 1024 + at, 443, 17)
        for datagram in handshakes.quic_hello(handshakes.QUIC_V1, OTHER.format(at), rng):
            capture.udp(out, datagram)


def requests(capture: Capture, number: int) -> None:
    """HTTP requests, each in a connection of its own."""
    for at in range(number):
        out, _ = capture.directions(FAR, 1024 + at, 80, 6)
        capture.tcp(out, wire.SYN_OPTIONS, wire.SYN)
        capture.tcp(out, f"GET / HTTP/1.1\r\nHost: {OTHER.format(at)}\r\n\r\n".encode())


def renamed(number: int) -> tuple[bytes, bytes]:
    """What to replace in a message that shows the first name, and by what."""
    first, other = (OTHER.format(which).partition(".")[0].encode() for which in (0, number))
    return first, other


Fill = Callable[[Capture, int], None]

KINDS: dict[str, tuple[Fill, int, int]] = {
    "data": (data, 5_000, 0),
    "short": (short, 5_000, 0),
    "lookups": (partial(lookups, names=OTHER), 1_000, 1),
    "hellos": (partial(hellos, names=OTHER), 500, 1),
    "cut-hellos": (partial(hellos, names=OTHER, cut=True), 200, 1),
    "initials": (initials, 200, 1),
    "requests": (requests, 500, 1),
    "banned-lookups": (partial(lookups, names=BANNED), 400, 1),
    "banned-hellos": (partial(hellos, names=BANNED), 200, 1),
}
"""Packets; how many more of them are counted, and how many names each shows."""


def more(command: str, kind: str, folder: Path) -> Cost:
    """What a packet, a message or a flow with a hello costs."""
    fill, number, _ = KINDS[kind]
    options = ["--format", "jsonl", "-o", str(folder / "told")]
    if command == "scan":
        options += ["-c", configured(folder)]

    def read(times: int) -> Callable[[], object]:
        capture = Capture(folder / "some.pcap")
        fill(capture, times * number)
        path = capture.close()
        return lambda: netwatch([command, path, *options])

    # The first time there are imports in it, and the signatures are not in the cache.
    read(1)()
    once = cost(read(1))
    return (cost(read(2)) - once) / number


LIMITS = [
    # Where no rule takes a name, only blocks of packets and lists of flows meet Python.
    ("scan", "data", Cost(0.1, 0.5)),
    ("scan", "short", Cost(0.1, 0.5)),
    ("scan", "lookups", Cost(0.1, 0.5)),
    ("scan", "hellos", Cost(0.1, 0.5)),
    ("scan", "cut-hellos", Cost(0.1, 0.5)),
    ("scan", "initials", Cost(0.1, 0.5)),
    ("scan", "requests", Cost(0.1, 0.5)),
    # Each contact is judged, and counted for its confidence, its outcome and its kind.
    ("scan", "banned-lookups", Cost(93, 444)),
    ("scan", "banned-hellos", Cost(189, 1085)),
    ("names", "data", Cost(0.1, 0.5)),
    ("names", "short", Cost(0.1, 0.5)),
    ("names", "lookups", Cost(4.1, 4.2)),
    ("names", "hellos", Cost(5.5, 9)),
    ("names", "cut-hellos", Cost(12.5, 21)),
    ("names", "initials", Cost(21.5, 36)),
    ("names", "requests", Cost(12.5, 75)),
]
"""Python calls and lines for each packet, message or flow, at most. Lines have some room, since
versions of Python count them differently."""


@pytest.mark.skipif(not COMPILED, reason="the loop was not compiled")
@pytest.mark.parametrize(("command", "kind", "limit"), LIMITS)
def test_no_call_more(
    command: str,
    kind: str,
    limit: Cost,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A run looks at the temporary folders of others, at 28 calls each, and tests that run at the
    # same time make some between two readings.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = more(command, kind, tmp_path)
    assert found.calls <= limit.calls, found
    assert found.lines <= limit.lines, found
    # The last of three readings, of twice as many: nothing was spared by not being read.
    last = capsys.readouterr().err.rpartition("\nobservations")[2].splitlines()[0]
    shown = sum(int(each.replace(",", "")) for each in re.findall(r"[\d,]*\d", last))
    _, number, names = KINDS[kind]
    assert shown == 2 * number * names
