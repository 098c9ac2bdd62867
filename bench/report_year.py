"""The report of a year of a made ministry: how long it takes, how much memory, how large it is.

    python bench/report_year.py [--devices N] [--incidents N] [--write]

The store is that of `made_incidents`: real alerts of `pcaps/`, repeated over a year and devices,
with coverage by the hour. ``netwatch report`` writes JSON, HTML and PDF as a user would run it; the
memory is that of the largest of its processes.
With ``--write`` the table goes into ``bench/results.md``.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import made_incidents
import page
from shared import ROOT

from netwatch.store.options import StoreOptions

NAME = "report-year"
FIRST, LAST = "2023-03-20", "2024-03-18"
TICK = 0.1
HEAD = ("file", "wall", "CPU", "memory", "size")


def main() -> None:
    """Make the store, the reports, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=5000)
    parser.add_argument("--incidents", type=int, default=50_000)
    parser.add_argument("--write", action="store_true", help=f"update {page.PAGE.name}")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="netwatch-report-"))
    try:
        made_incidents.fill(StoreOptions(str(folder / "store")), args.incidents, args.devices)
        rows = [measured(folder, end) for end in ("json", "html", "pdf")]
    finally:
        shutil.rmtree(folder)
    text = (
        f"\n{args.incidents:,} incidents, up to {args.devices:,} devices, 8,760 hours of coverage:"
        f"\n\n{page.table(HEAD, rows)}\n"
    )
    print(text)
    if args.write:
        filled = page.fill(page.PAGE.read_text(encoding="utf-8"), {NAME: text})
        page.PAGE.write_text(filled, encoding="utf-8")


def measured(folder: Path, end: str) -> list[str]:
    """The row of one file."""
    output = folder / f"report.{end}"
    command = [
        sys.executable, "-m", "netwatch", "report", "-c", "pcaps/netwatch.yaml",
        "--store-path", str(folder / "store"), "--from", FIRST, "--to", LAST, "-o", str(output),
    ]  # fmt: skip
    begin = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT)
    largest = [0.0]
    watching = threading.Thread(target=_watch, args=(process, largest))
    watching.start()
    _, status, usage = _wait(process)
    watching.join()
    if status:
        raise SystemExit(f"{end}: exit status {status}")
    wall = time.monotonic() - begin
    size = output.stat().st_size / 1e6
    return [end, f"{wall:.0f} s", f"{usage:.0f} s", f"{largest[0]:.0f} MB", f"{size:.1f} MB"]


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, int, float]:
    """Wait for a process; its id, exit status and CPU time with that of its children, in s."""
    found, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return found, process.returncode, usage.ru_utime + usage.ru_stime


def _watch(process: subprocess.Popen[bytes], largest: list[float]) -> None:
    """Note the resident memory of the largest process, in MB, until the first has ended."""
    while process.returncode is None:
        for pid in _family(process.pid):
            largest[0] = max(largest[0], _resident(pid))
        time.sleep(TICK)


def _family(pid: int) -> list[int]:
    """A process and those that it started."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [pid, *(each for child in text.split() for each in _family(int(child)))]


def _resident(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    return 0.0


if __name__ == "__main__":
    main()
