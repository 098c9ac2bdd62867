"""A network namespace with a veth pair: packets sent to ``out`` are received on ``in``.

Packets never leave the namespace. It needs root and `ip`; a measurement names the other programs
that it needs.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from measure import ENVIRONMENT
from shared import ROOT, Namespace, created, missing_requirements, wait_until

STOP_TIMEOUT = 60.0
"""Seconds that a process has to end after a signal; then it is killed."""
MTU = 2000
"""Of the pair: segments of the generated traffic have an MSS of 1460 over IPv6 too, and a longer
packet than the MTU could not be sent."""


class MissingError(Exception):
    """A measurement cannot be made here; the text says what is missing."""


def require(*programs: str) -> None:
    """Raise `MissingError` unless namespaces can be created and these programs are installed."""
    if reason := missing_requirements():
        raise MissingError(reason)
    require_programs(*programs)


def require_programs(*programs: str) -> None:
    """Raise `MissingError` unless these programs are installed."""
    if missing := [name for name in programs if shutil.which(name) is None]:
        raise MissingError(f"not installed: {', '.join(missing)}")


@contextlib.contextmanager
def pair() -> Iterator[Namespace]:
    """A namespace with the veth pair, removed afterwards."""
    with created() as namespace:
        namespace.pair("out", "in", MTU)
        yield namespace


def start(namespace: Namespace, command: Sequence[str], **streams: Any) -> subprocess.Popen[bytes]:
    """Start a command inside of a namespace, in the root of the project."""
    return subprocess.Popen(namespace.inside(*command), cwd=ROOT, env=ENVIRONMENT, **streams)


def wait_for_log(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has written a text to its log; raises `RuntimeError` if it ended."""

    def written() -> bool:
        content = log.read_text(errors="replace")
        if text not in content and process.poll() is not None:
            raise RuntimeError(f"the process ended without {text!r}:\n{content[-2000:]}")
        return text in content

    wait_until(written, f"{text!r} is in {log.name}")


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    """Send a signal to a process and wait for its end; its exit status."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def process_tree(pid: int) -> list[int]:
    """A process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        pids = [int(word) for word in children.read_text().split()]
    except OSError:
        return []
    return [pid, *(descendant for child in pids for descendant in process_tree(child))]


def resident(pid: int) -> dict[int, int]:
    """Resident anonymous memory of a process and of each descendant, in bytes. File mappings and
    the capture ring, whose size is configured, do not count."""
    sizes = {}
    for each in process_tree(pid):
        try:
            status = Path(f"/proc/{each}/status").read_text()
        except OSError:
            continue
        anonymous = re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)
        if anonymous:
            sizes[each] = int(anonymous[1]) * 1024
    return sizes


def cpu(pid: int) -> float:
    """CPU seconds that a process and its descendants have used; where the kernel counts those of a
    thread in ns, only the threads that still run."""
    with contextlib.suppress(OSError):
        tasks = [
            task for each in process_tree(pid) for task in Path(f"/proc/{each}/task").iterdir()
        ]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    ticks = 0
    for each in process_tree(pid):
        with contextlib.suppress(OSError):
            ticks += sum(map(int, Path(f"/proc/{each}/stat").read_text().split()[13:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
