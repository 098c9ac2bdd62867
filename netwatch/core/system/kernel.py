"""Features that kernels provide in different ways: processes (whether they can be forked, their end
and their limits), a clock that cannot be set, memory page by page, the state of a connection, and
waiting with poll(2), which has no limit of descriptors.

Forking is not safe on macOS, whose frameworks have threads of their own, and Windows has no
fork(2). There workers are spawned: each is a new interpreter, which imports netwatch. How workers
live is in `netwatch.core.system.workers`. Windows can only wait for sockets. Anything else counts
as readable, and reading it waits.
"""

import contextlib
import mmap
import os
import select
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import socket

T = TypeVar("T")

if sys.platform != "win32":

    class Readable:
        """A descriptor, to wait until it has something to read or has ended."""

        def __init__(self, descriptor: int) -> None:
            self._poll = select.poll()
            self._poll.register(descriptor, select.POLLIN)

        def wait(self, seconds: float) -> bool:
            """Whether it is readable within `seconds`."""
            return bool(self._poll.poll(1000 * max(0.0, seconds)))

else:

    class Readable:
        """The same for a socket."""

        def __init__(self, descriptor: int) -> None:
            self._descriptor = descriptor

        def wait(self, seconds: float) -> bool:
            """Whether it is readable within `seconds`."""
            try:
                return bool(select.select([self._descriptor], [], [], max(0.0, seconds))[0])
            except OSError:
                return True


_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h of glibc

CAN_FORK = sys.platform not in ("win32", "darwin")
"""Whether workers that read captures may be forked."""

MAX_WORKERS = 61 if sys.platform == "win32" else 256
"""Processes in a pool, at most; Windows cannot wait for more."""


def steady_seconds() -> float:
    """Seconds of a monotonic clock; on Linux it also runs while the machine sleeps (CLOCK_BOOTTIME,
    clock_gettime(2))."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def private_pages(size: int) -> mmap.mmap:
    """`size` bytes of zeros. A forked process gets a copy, so that it does not write into its
    parent's tables; Windows does not fork. Raises `OSError`."""
    if sys.platform == "win32":
        return mmap.mmap(-1, size)
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def keep_freed_memory() -> None:
    """Let glibc keep up to 16 MB of freed memory for the next batch of records. By itself it
    returns large pieces at once, and the system has to clear as many pages again (mallopt(3))."""
    if sys.platform == "linux":
        import ctypes

        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries lack it
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, 8 << 20)
            mallopt(_M_TRIM_THRESHOLD, 16 << 20)
            mallopt(_M_TOP_PAD, 1 << 20)


def unacknowledged_bytes(connection: "socket.socket") -> int:
    """Bytes that the receiver's kernel has not acknowledged; 0 if our kernel does not tell."""
    if sys.platform == "win32":
        return 0
    import fcntl
    import termios

    try:
        answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])


def usable_cpus() -> int:
    """The CPUs on which this process may run."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limit_memory(size: int) -> None:
    """Kill this process instead of giving it more than `size` bytes. macOS accepts the limit but
    does not enforce it; Windows has none."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def limit_seconds(seconds: int) -> None:
    """Kill this process when it has used so many seconds of CPU time. Windows has no such limit."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))


def yield_to_others(by: int) -> None:
    """Raise the nice value of this process, so that others come first. Does nothing on Windows, and
    in a sandbox that does not allow it (systemd's ``SystemCallFilter=~@resources``)."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            os.nice(by)


def end_with_parent(number: int) -> None:
    """Have the kernel send this signal when the parent process dies (prctl(2)), which also
    interrupts a read. Only on Linux; elsewhere nothing happens."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def die_with(parent: int) -> None:
    """Kill this process at once when `parent`, which forked it, dies. Otherwise a worker of a pool
    would wait for work for ever. Only on Linux; elsewhere nothing happens."""
    if sys.platform == "linux":
        import signal

        end_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def confine(memory: int, seconds: float) -> None:
    """Let this process use `memory` more bytes than now and as much CPU time as all CPUs have in so
    many seconds, write to no file, and leave no core. Linux counts all writable memory; macOS and
    FreeBSD count only a part, and Windows has none of this."""
    if sys.platform == "win32":
        return
    import resource

    limits = {resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}
    if (used := _data()) is not None:
        limits[resource.RLIMIT_DATA] = used + memory
    limits[resource.RLIMIT_CPU] = int(seconds * usable_cpus()) + 1
    for limit, most in limits.items():
        now = resource.getrlimit(limit)[1]
        least = most if now == resource.RLIM_INFINITY else min(most, now)
        resource.setrlimit(limit, (least, least))


def _data() -> int | None:
    """The bytes of writable memory of this process; None if the system does not tell."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
            kilobytes = next(line.split()[1] for line in status if line.startswith("VmData:"))
    except (OSError, StopIteration):
        return None
    return int(kilobytes) << 10


_RESERVE = 1 << 20
"""Bytes that are given back before the limit is lifted: a MemoryError holds the frames of the work,
and with them its memory."""

_limiting = threading.Lock()
"""The limit belongs to the process: if two changed it, one would restore what the other set."""


def with_limited_memory(size: int, work: Callable[[], T]) -> T:
    """The result of the work, which reads untrusted data: that can be small and unpack to gigabytes
    in a library without limits. Meanwhile the process may use at most `size` more bytes of address
    space; `MemoryError` is raised if it asks for more. Other threads should be idle, and one such
    work is done at a time. Systems without such a limit have none."""
    if sys.platform == "win32":
        return work()
    import resource

    with _limiting:
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
    """Everything that `finally` needs is created before, and the function is short, since CPython
    allocates memory to enter a handler beyond its first 256 instructions."""
    try:
        return work()
    finally:
        free()
        set_limit(kind, limits)


def _address_space() -> int | None:
    """The bytes of this process's address space; None if the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[0]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
