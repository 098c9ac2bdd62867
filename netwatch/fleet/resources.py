"""What work takes of this machine: a limit on its memory, and what the processes of a capture use,
as /proc shows it.

What a sensor sends can be small and unpack to gigabytes in a library that does not ask before. The
limit is the system's, on the address space of the process, so whatever takes memory meets it. On
systems without such a limit there is none.
"""

import mmap
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_RESERVE = 1 << 20
"""Bytes that are given back before the limit is lifted: an error that says that memory is out holds
the frames of the work, and with them its memory."""

_lock = threading.Lock()
"""The limit belongs to the process: of two that change it, one would restore what the other set."""


if sys.platform != "win32":
    import resource


def with_limited_memory(size: int, work: Callable[[], T]) -> T:
    """What the work returns. The process takes at most `size` more bytes meanwhile; `MemoryError`
    is raised where it asks for more. Other threads should be idle, and one such work is done at a
    time."""
    if sys.platform == "win32":
        return work()
    with _lock:
        taken = _address_space()
        soft, hard = before = resource.getrlimit(resource.RLIMIT_AS)
        if taken is None or resource.RLIM_INFINITY != soft < taken + size:
            return work()
        reserve = mmap.mmap(-1, _RESERVE)
        resource.setrlimit(resource.RLIMIT_AS, (taken + size + _RESERVE, hard))
        return _lift_after(work, reserve.close, resource.setrlimit, resource.RLIMIT_AS, before)


def _lift_after(
    work: Callable[[], T],
    free: Callable[[], None],
    set_limit: Callable[[int, tuple[int, int]], None],
    kind: int,
    limits: tuple[int, int],
) -> T:
    """Everything that `finally` needs is made before, and the function is short, since CPython
    takes memory to enter a handler beyond its first 256 instructions."""
    try:
        return work()
    finally:
        free()
        set_limit(kind, limits)


def _address_space() -> int | None:
    """The bytes of this process's address space; None where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[0]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


class Usage:
    """Measures this process and those that it started."""

    def __init__(self) -> None:
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._last = (time.monotonic(), 0.0)

    def take(self) -> tuple[float, int]:
        """The share of one core since the last call (2.0: two cores were busy), and the bytes of
        memory that the processes have now; what they share counts several times."""
        seconds, memory = 0.0, 0
        for pid in _with_children(os.getpid()):
            with suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                seconds += (int(fields[11]) + int(fields[12])) / self._ticks
                memory += int(fields[21]) * self._page
        now = time.monotonic()
        before, used = self._last
        self._last = (now, seconds)
        share = (seconds - used) / (now - before) if used and now > before else 0.0
        return round(max(0.0, share), 3), memory


def _with_children(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        with suppress(OSError, ValueError):
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found
