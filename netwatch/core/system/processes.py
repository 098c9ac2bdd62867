"""Processes: how workers are made, what ends them, and what limits them.

Where forking is safe, workers are forked: they have all that this process has loaded, at once. It
is not safe on macOS, whose frameworks have threads of their own, and Windows has no fork(2). There
workers are spawned: each is a new interpreter, which imports netwatch and gets its work pickled.
"""

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.context import SpawnContext

    if sys.platform != "win32":
        from multiprocessing.context import ForkContext

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

CAN_FORK = sys.platform not in ("win32", "darwin")
"""Whether workers that read captures may be forked."""

MAX_WORKERS = 61 if sys.platform == "win32" else 256
"""Processes of a pool at most; Windows cannot wait for more."""

if sys.platform != "win32":

    def context() -> "ForkContext | SpawnContext":
        """How `multiprocessing` makes processes here."""
        import multiprocessing

        if CAN_FORK:
            return multiprocessing.get_context("fork")
        return multiprocessing.get_context("spawn")

else:

    def context() -> "SpawnContext":
        """As above."""
        import multiprocessing

        return multiprocessing.get_context("spawn")


def usable_cpus() -> int:
    """The CPUs on which this process may run."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limit_memory(size: int) -> None:
    """End this process rather than give it more than `size` bytes. macOS accepts the limit and does
    not keep it; Windows has none."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def limit_seconds(seconds: int) -> None:
    """End this process when it has computed for so many seconds. Windows has no such limit."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))


def end_with_parent(number: int) -> None:
    """Have the kernel send this signal when the process that forked this one dies (prctl(2)), which
    also interrupts a read. Only Linux does; elsewhere nothing happens."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def die_with(parent: int) -> None:
    """End this process at once when `parent` dies, which forked it. Otherwise a worker of a pool
    would wait for work for ever. Elsewhere than on Linux nothing happens."""
    if sys.platform == "linux":
        import signal

        end_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
