"""One process measured: CPU seconds, seconds on the clock, peak memory, what it told.

Whole processes are what users pay for, so nothing is measured from inside. This process
stays small: what a child has at its peak counts from that of its parent (wait4(2)).
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import ROOT

_OWN = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONDEVMODE", "PYTHONTRACEMALLOC")
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in _OWN}
"""What commands run in: without what a developer may have set and users have not."""

_BARE = """
import resource, sys
try:
    with open("/proc/self/status") as status:
        print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024)
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak * (1 if sys.platform == "darwin" else 1024))
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One process: seconds, peak resident set in bytes, exit status, what it told."""

    cpu: float
    wall: float
    rss: int
    status: int
    told: int | None
    error: str = ""


def netwatch(*arguments: str) -> list[str]:
    """The call of a netwatch command of this tree."""
    return [sys.executable, "-m", "netwatch", *arguments]


def lines(output: Path) -> int:
    """Lines of a file."""
    with output.open("rb") as file:
        return sum(1 for _ in file)


def popen(command: Sequence[str], stdin: Any, stdout: Any, stderr: Any) -> subprocess.Popen[bytes]:
    """Begin a command in the root of the project."""
    return subprocess.Popen(
        command, stdin=stdin, stdout=stdout, stderr=stderr, cwd=ROOT, env=ENVIRONMENT
    )


def measure(
    command: Sequence[str],
    output: Path,
    timeout: float,
    told: Callable[[Path], int | None] = lines,
    feed: Sequence[str] | None = None,
) -> Run:
    """Run a command once; it is killed after `timeout` seconds.

    Its standard output goes to `output`, of which `told` says what it told, errors beside it
    (``.err``). Its standard input is what `feed` prints, whose own costs do not count and
    whose errors go to ``.fed``; else it is empty.
    """
    errors = output.with_suffix(".err")
    with contextlib.ExitStack() as stack:
        out, err = stack.enter_context(output.open("wb")), stack.enter_context(errors.open("wb"))
        source, fed_well = None, True
        if feed is not None:
            fed = stack.enter_context(output.with_suffix(".fed").open("wb"))
            source = popen(feed, subprocess.DEVNULL, subprocess.PIPE, fed)
        stdin = source.stdout if source else subprocess.DEVNULL
        begin = time.perf_counter()
        process = popen(command, stdin, out, err)
        if source and source.stdout:
            source.stdout.close()
        timer = threading.Timer(timeout, process.kill)
        timer.start()
        _, wait_status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        timer.cancel()
        process.returncode = status = os.waitstatus_to_exitcode(wait_status)
        if source:
            # Its reader is gone, so it ends by itself.
            fed_well = source.wait() == 0
    # Linux counts kilobytes, macOS bytes (getrusage(2)).
    rss = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    cpu = usage.ru_utime + usage.ru_stime
    if status == 0 and not fed_well:
        return Run(cpu, wall, rss, 1, None, "what it was fed broke off")
    if status == 0:
        return Run(cpu, wall, rss, 0, told(output))
    last = errors.read_text(errors="replace").strip().splitlines() or [f"status {status}"]
    return Run(cpu, wall, rss, status, None, last[-1])


def interpreter() -> int:
    """Peak resident set in bytes of a Python that does nothing."""
    command = [sys.executable, "-c", _BARE]
    done = subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
    return int(done.stdout)
