"""Every packet that a live capture with a store was sent is in one place: stored, skipped for the
store, or dropped by the kernel."""

import os
import re
import signal
import struct
import time
from pathlib import Path

from messages import query
from support.frames import ETHERNET, udp
from support.live import Capture
from support.namespaces import namespace, needs_namespaces
from support.stored_facts import catalogue_rows, facts
from support.waiting import wait_until

pytestmark = needs_namespaces

SENT = 12_000
"""More than a ring of 2 MiB has room for."""

CONFIG = """version: 1
networks: [{name: hq, cidrs: [10.20.0.0/16], class: service, authority: BE-FED}]
store: {path: store}
"""


def test_what_is_dropped_skipped_and_stored_is_what_was_sent(tmp_path: Path) -> None:
    """To the packet, of which each makes a row. The worker halts while they come: the ring has not
    room for all, and what is behind is judged first."""
    (tmp_path / "netwatch.yaml").write_text(CONFIG)
    head = ETHERNET.frame(udp(query(0, "n00000.example", "A")))[:34]
    frames = []
    for number in range(SENT):
        data = query(number, f"n{number:05}.example", "A")
        frames.append(head + struct.pack(">4H", 1024 + number, 53, 8 + len(data), 0) + data)
    with namespace() as place:
        place.pair("out", "in")
        live = Capture(
            tmp_path, "-i", "in", "--no-filter", "--buffer", "2", "-c",
            str(tmp_path / "netwatch.yaml"), under=place.inside(),
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

    read, dropped = counted(r"^read .* ([\d,]+) packets"), counted(r"^lost +([\d,]+) packets?")
    skipped = counted(r"^lost .* ([\d,]+) packets? not recorded$")
    store = tmp_path / "store"
    stored = len(facts(store, "observation"))
    assert dropped > 0
    assert skipped > 0
    assert stored > 0
    assert read + dropped == SENT
    assert stored + skipped + dropped == SENT
    losses = "SELECT sum(count) FROM loss WHERE kind = 'skipped'"
    assert catalogue_rows(store, losses) == [(skipped,)]
