"""How much memory `scan` and `names` have while they read one large capture.

The capture comes through a pipe into which `traffic.py` writes new flows all the time, so it can be
larger than the disk. One process reads all of it. What it has resident is sampled while it does;
the peak includes what it needs at the end, to report.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from captures import Traffic
from compare import Options, progress
from measure import interpreter, measure, netwatch
from netwatch_only import require_complete, require_success
from peers import CONFIG, all_names, banned_clients

SIZES = (10**8, 10**9, 5 * 10**9, 10 * 10**9)
"""Bytes after which memory is noted, beside the end."""
BYTES_PER_PACKET = 860
"""Bytes of an average packet of office traffic in a capture."""
INTERVAL = 0.05
"""Seconds between samples."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A process when it had read some bytes: what was resident then and at most before, in bytes,
    and the CPU seconds until then."""

    bytes: int
    resident: int
    rss: int
    cpu: float


class Samples:
    """Samples of one process, the first after each of `SIZES`; `watch` takes its id."""

    def __init__(self) -> None:
        self.found: list[Sample] = []
        self._thread: threading.Thread | None = None

    def watch(self, pid: int) -> None:
        """Sample in a thread until the process has ended."""
        self._thread = threading.Thread(target=self._run, args=(pid,))
        self._thread.start()

    def join(self) -> None:
        """Wait until the process that is watched has ended."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, pid: int) -> None:
        due = list(SIZES)
        for sample in _samples(pid):
            while due and sample.bytes >= due[0]:
                self.found.append(sample)
                due.pop(0)
            if not due:
                return


def _samples(pid: int) -> Iterator[Sample]:
    """Samples of a process until it ends. The bytes that it has read include its own code and its
    configuration, some 5 MB."""
    process, ticks = Path(f"/proc/{pid}"), os.sysconf("SC_CLK_TCK")
    with contextlib.suppress(OSError, KeyError):
        while True:
            sizes = _fields(process / "status")
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            yield Sample(
                bytes=_fields(process / "io")["rchar"],
                resident=sizes["VmRSS"] * 1024,
                rss=sizes["VmHWM"] * 1024,
                cpu=(int(stat[11]) + int(stat[12])) / ticks,
            )
            time.sleep(INTERVAL)


def _fields(path: Path) -> dict[str, int]:
    """The numbers of a file of ``/proc``, by their names."""
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    words = ((name, value.split()) for name, _, value in pairs)
    return {name: int(value[0]) for name, value in words if value and value[0].isdigit()}


def memory(options: Options) -> dict[str, Any]:
    """Memory by the bytes that were read of a capture of `options.largest` bytes."""
    scan = netwatch("scan", "-q", "-c", str(CONFIG), "--format", "jsonl", "-")
    names = netwatch("names", "-q", "--format", "jsonl", "-")
    packets = max(1, options.largest // BYTES_PER_PACKET)
    rows = []
    for name, command, expected in (("scan", scan, banned_clients), ("names", names, all_names)):
        progress(f"memory: {name} of {options.largest / 1e6:.0f} MB through a pipe")
        output = options.work / f"memory-{name}.out"
        feed = Traffic("office", packets, seed=3).command()
        samples = Samples()
        run = measure(command, output, options.timeout, feed=feed, started=samples.watch)
        samples.join()
        require_success(run)
        output.unlink()
        manifest = json.loads(output.with_suffix(".fed").read_text(encoding="ascii"))
        require_complete(run, expected(manifest))
        # A pcap has a header of 24 bytes, and one of 16 bytes for each packet.
        size = 24 + 16 * packets + manifest["bytes"]
        rows += [{"command": name, **asdict(each)} for each in samples.found]
        end = {"bytes": size, "resident": None, "packets": packets}
        rows.append({"command": name, **asdict(run), **end})
    return {"interpreter": interpreter(), "rows": rows}


def text(found: dict[str, Any]) -> str:
    """Memory by size as text."""
    lines = [f"memory beyond the {found['interpreter'] / 1e6:.0f} MB of an interpreter"]
    for row in found["rows"]:
        beyond = (row["rss"] - found["interpreter"]) / 1e6
        lines.append(
            f"{row['command']:<6} {row['bytes'] / 1e9:8.2f} GB {beyond:6.0f} MB"
            f" {row['cpu']:8.2f} s CPU"
        )
    return "\n".join(lines)
