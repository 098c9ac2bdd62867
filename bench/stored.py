"""What `scan --store` costs beside `scan`: CPU seconds and memory of all processes.

Memory is proportional (PSS), so that pages which several processes share count once. It is sampled
while the command runs.
"""

import contextlib
import shutil
import statistics
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from captures import Traffic, capture
from compare import Options, progress
from measure import Run, as_text, measure, netwatch
from netwatch_only import require_complete, require_success
from peers import CONFIG
from veth import process_tree

INTERVAL = 0.1
"""Seconds between samples. A sample of 200 MB costs some ms."""


def proportional(pid: int) -> int:
    """Proportional set size in bytes of a process and its descendants."""
    sizes = 0
    for each in process_tree(pid):
        # A process may end at any time.
        with (
            contextlib.suppress(OSError, StopIteration),
            Path(f"/proc/{each}/smaps_rollup").open(encoding="ascii") as lines,
        ):
            sizes += 1024 * next(int(line.split()[1]) for line in lines if line[:4] == "Pss:")
    return sizes


class Peak:
    """The largest proportional set size of a process and its descendants, from `watch`, which takes
    its id, until the end of the ``with`` block."""

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, pid: int) -> None:
        """Sample in a thread."""
        self._thread = threading.Thread(target=self._run, args=(pid,))
        self._thread.start()

    def _run(self, pid: int) -> None:
        while not self._over.wait(INTERVAL):
            self.bytes = max(self.bytes, proportional(pid))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._over.set()
        if self._thread is not None:
            self._thread.join()


def stored(options: Options) -> dict[str, Any]:
    """Measure both kinds of traffic with and without a store."""
    rows = [_measured(Traffic("office", options.office), options)]
    rows.append(_measured(Traffic("dns", options.dns), options))
    return {"rounds": options.rounds, "rows": rows}


def _measured(traffic: Traffic, options: Options) -> dict[str, Any]:
    path, manifest = capture(traffic, options.work)
    scan = netwatch("scan", "-q", "-c", str(CONFIG), "--format", "jsonl", str(path))
    folder, output = options.work / "scan-store", options.work / "stored.out"
    runs: dict[bool, list[Run]] = {False: [], True: []}
    peak = 0
    for number in range(1, options.rounds + 1):
        for with_store in runs:
            progress(f"stored: {traffic.kind}, round {number} of {options.rounds}, {with_store}")
            shutil.rmtree(folder, ignore_errors=True)
            more = ["--store-path", str(folder)] if with_store else []
            with Peak() as sizes:
                run = measure([*scan, *more], output, options.timeout, started=sizes.watch)
            require_complete(require_success(run), manifest["banned_clients"])
            runs[with_store].append(run)
            peak = max(peak, sizes.bytes) if with_store else peak
    kept = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    shutil.rmtree(folder)
    plain, full = (statistics.median(run.cpu for run in found) for found in runs.values())
    return {
        "kind": traffic.kind, "packets": traffic.packets, "plain": plain, "stored": full,
        "wall": statistics.median(run.wall for run in runs[True]), "pss": peak, "bytes": kept,
    }  # fmt: skip


COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("traffic", lambda row: row["kind"]),
    ("packets", lambda row: f"{row['packets']:,}"),
    ("`scan`, CPU s", lambda row: f"{row['plain']:.2f}"),
    ("`scan --store`, CPU s", lambda row: f"{row['stored']:.2f}"),
    ("times", lambda row: f"{row['stored'] / row['plain']:.2f}"),
    ("wall s", lambda row: f"{row['wall']:.2f}"),
    ("peak PSS, MB", lambda row: f"{row['pss'] / 1e6:.0f}"),
    ("stored MB", lambda row: f"{row['bytes'] / 1e6:.1f}"),
)


def text(found: dict[str, Any]) -> str:
    """What was measured as text."""
    return as_text(COLUMNS, found["rows"])
