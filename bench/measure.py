"""Measure one process: CPU seconds, wall-clock seconds, peak memory, and how much it reported.

Users pay for whole processes, so nothing is measured from inside. The peak memory of a child
includes that of its parent at the fork (wait4(2)), and this process may have hundreds of MB: a
small one in between starts the command and reports what it cost.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import ROOT

from netwatch.core.tabular import aligned

_DEVELOPER_VARIABLES = (
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
    "PYTHONDEVMODE",
    "PYTHONTRACEMALLOC",
)
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in _DEVELOPER_VARIABLES}
"""The environment of measured commands, without variables that only developers set."""

_EMPTY_PROGRAM = """
import resource, sys
try:
    with open("/proc/self/status") as status:
        print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024)
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak * (1 if sys.platform == "darwin" else 1024))
"""


_LAUNCHER = """
import json, os, sys, time
report, command = int(sys.argv[1]), sys.argv[2:]
began = time.perf_counter()
child = os.fork()
if not child:
    try:
        os.close(report)
        os.execvp(command[0], command)
    finally:
        os._exit(127)
os.write(report, b"%d\\n" % child)
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - began
cost = [status, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]
os.write(report, json.dumps(cost).encode())
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One process: CPU and wall-clock seconds, peak resident set in bytes, exit status, how much it
    reported (None if that is unknown), and the error if it failed."""

    cpu: float
    wall: float
    rss: int
    status: int
    reported: int | None
    error: str = ""


def netwatch(*arguments: str) -> list[str]:
    """The command line of a netwatch command of this checkout."""
    return [sys.executable, "-m", "netwatch", *arguments]


def lines(output: Path) -> int:
    """The number of lines in a file."""
    with output.open("rb") as file:
        return sum(1 for _ in file)


def start_process(
    command: Sequence[str], stdin: Any, stdout: Any, stderr: Any
) -> subprocess.Popen[bytes]:
    """Start a command in the root of the project."""
    return subprocess.Popen(
        command, stdin=stdin, stdout=stdout, stderr=stderr, cwd=ROOT, env=ENVIRONMENT
    )


def measure(
    command: Sequence[str],
    output: Path,
    timeout: float,
    reported: Callable[[Path], int | None] = lines,
    feed: Sequence[str] | None = None,
    started: Callable[[int], None] | None = None,
) -> Run:
    """Run a command once and kill it after `timeout` seconds.

    Its standard output goes to the file `output`, in which `reported` counts the results, and its
    standard error to the same name with ``.err``. Its standard input is the output of the command
    `feed`, whose own costs do not count and whose errors go to ``.fed``; without `feed` it is
    empty. `started` is called with the id of the process.
    """
    errors = output.with_suffix(".err")
    with contextlib.ExitStack() as stack:
        out, err = stack.enter_context(output.open("wb")), stack.enter_context(errors.open("wb"))
        source, feed_succeeded = None, True
        if feed is not None:
            feed_errors = stack.enter_context(output.with_suffix(".fed").open("wb"))
            source = start_process(feed, subprocess.DEVNULL, subprocess.PIPE, feed_errors)
        stdin = source.stdout if source else subprocess.DEVNULL
        reading, writing = os.pipe()
        launcher = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(writing), *command],
            stdin=stdin, stdout=out, stderr=err, cwd=ROOT, env=ENVIRONMENT, pass_fds=(writing,),
        )  # fmt: skip
        os.close(writing)
        report = stack.enter_context(os.fdopen(reading, "rb"))
        if source and source.stdout:
            source.stdout.close()
        child = int(report.readline())
        timer = threading.Timer(timeout, os.kill, (child, signal.SIGKILL))
        timer.start()
        if started is not None:
            started(child)
        wait_status, wall, cpu, peak = json.loads(report.read())
        timer.cancel()
        launcher.wait()
        status = os.waitstatus_to_exitcode(wait_status)
        if source:
            # Its reader has ended, so it ends too.
            feed_succeeded = source.wait() == 0
    # Linux counts kilobytes, macOS bytes (getrusage(2)).
    rss = peak * (1 if sys.platform == "darwin" else 1024)
    if status == 0 and not feed_succeeded:
        return Run(cpu, wall, rss, 1, None, "the command that fed its standard input failed")
    if status == 0:
        return Run(cpu, wall, rss, 0, reported(output))
    last = errors.read_text(errors="replace").strip().splitlines() or [f"status {status}"]
    return Run(cpu, wall, rss, status, None, last[-1])


def interpreter() -> int:
    """Peak resident set in bytes of a Python interpreter that runs an empty program."""
    command = [sys.executable, "-c", _EMPTY_PROGRAM]
    done = subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
    return int(done.stdout)


def as_text(columns: Sequence[tuple[str, Callable[[Any], str]]], rows: Iterable[Any]) -> str:
    """A table as aligned text: each column has a name, and what it shows of a row."""
    cells = [[shows(row) for _, shows in columns] for row in rows]
    return "\n".join(aligned([[name for name, _ in columns], *cells], range(1, len(columns))))
