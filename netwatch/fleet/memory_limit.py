"""A limit on the memory that a piece of work may take.

What a sensor sends can be small and unpack to gigabytes in a library that does not ask before. The
limit is the system's, on the address space of the process, so whatever takes memory meets it. On
systems without such a limit there is none.
"""

import mmap
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

if sys.platform != "win32":
    import resource

T = TypeVar("T")

_RESERVE = 1 << 20
"""Bytes that are given back before the limit is lifted: an error that says that memory is out holds
the frames of the work, and with them its memory."""

_lock = threading.Lock()
"""The limit belongs to the process: of two that change it, one would restore what the other set."""


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
