"""Every packet that a live capture with a store was sent is in one place: stored, skipped for the
store, or dropped by the kernel."""

import os
import re
import signal
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from messages import query
from support.frames import ETHERNET, udp
from support.live import Capture
from support.namespaces import namespace, needs_namespaces
from support.stored_facts import catalogue_rows, facts
from support.waiting import wait_until

pytestmark = needs_namespaces

SENT = 20_000
"""More than a ring of 2 MiB has room for."""

PROGRAM = """import sys
from netwatch.live import worker
worker.RECORD_WAITING = 4096
from netwatch.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""The command line of netwatch, for which fewer packets are many."""

CONFIG = """version: 1
networks: [{name: hq, cidrs: [10.20.0.0/16], class: service, authority: BE-FED}]
store: {path: store}
"""


@dataclass(frozen=True)
class Counts:
    """What became of packets that came while the worker halted."""

    read: int
    dropped: int
    skipped: int
    stored: int
    known_skipped: int


def halted(folder: Path, count: int) -> Counts:
    """Send so many packets, each of which makes a row, while the worker halts for longer than
    `netwatch.live.worker.RECORD_LAG`."""
    (folder / "netwatch.yaml").write_text(CONFIG)
    head = ETHERNET.frame(udp(query(0, "n00000.example", "A")))[:34]
    frames = []
    for number in range(count):
        data = query(number, f"n{number:05}.example", "A")
        frames.append(head + struct.pack(">4H", 1024 + number, 53, 8 + len(data), 0) + data)
    with namespace() as place:
        place.pair("out", "in")
        live = Capture(
            folder, "-i", "in", "--no-filter", "--buffer", "2", "-c",
            str(folder / "netwatch.yaml"), under=place.inside(), program=("-c", PROGRAM),
        )  # fmt: skip
        live.wait_for_log("started on")
        worker = live.workers()[-1]
        sender = place.sender("out")
        os.kill(worker, signal.SIGSTOP)
        try:
            sender.send(*frames)
            since = time.monotonic()
            wait_until(lambda: time.monotonic() - since > 0.3)
        finally:
            os.kill(worker, signal.SIGCONT)
        sender.close()
        assert live.stop() == 0
    said = live.log()

    def counted(pattern: str) -> int:
        (found,) = re.findall(pattern, said, re.MULTILINE)
        return int(found.replace(",", ""))

    store = folder / "store"
    losses = "SELECT coalesce(sum(count), 0) FROM loss WHERE kind = 'skipped'"
    return Counts(
        read=counted(r"^read .* ([\d,]+) packets"),
        dropped=counted(r"^lost +([\d,]+) packets?"),
        skipped=counted(r"^lost .* ([\d,]+) packets? not recorded$"),
        stored=len(facts(store, "observation")),
        known_skipped=catalogue_rows(store, losses)[0][0],
    )


def test_what_is_dropped_skipped_and_stored_is_what_was_sent(tmp_path: Path) -> None:
    """To the packet: the ring has not room for all, and what is behind is judged first."""
    found = halted(tmp_path, SENT)
    assert found.dropped > 0
    assert found.skipped > 0
    assert found.stored > 0
    assert found.read + found.dropped == SENT
    assert found.stored + found.skipped + found.dropped == SENT
    assert found.known_skipped == found.skipped


def test_few_packets_are_recorded_however_late(tmp_path: Path) -> None:
    assert halted(tmp_path, 100) == Counts(100, 0, 0, 100, 0)
