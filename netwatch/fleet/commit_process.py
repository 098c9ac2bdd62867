"""Processes in which a centre commits what sensors send.

One interpreter computes on one processor at a time, so a centre that committed in its threads would
have one processor for everything. A process that commits has an interpreter and a connection to the
catalogue of its own. It is started when there is something for it, and ends with the centre. If it
is killed, for want of memory for example, another one takes its place and gets the same messages:
to commit twice is the same as once.
"""

import asyncio
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from netwatch.core.errors import NetwatchError
from netwatch.core.system.processes import usable_cpus
from netwatch.engine.forking import sendable

MAX_PROCESSES = 4
"""Processes that commit alerts, and processes that commit facts."""

CLOSE_SECONDS = 20.0
"""Seconds that processes have at the end for what they are doing. Then they are killed: what is not
committed comes again."""

_QUIET = "ignore:resource_tracker:UserWarning"

P = ParamSpec("P")
C = TypeVar("C")
T = TypeVar("T")


def process_count() -> int:
    """How many processes commit facts, and how many commit alerts where the catalogue has several
    writers: half as many as there are CPUs, less one, since others have work too; at least one and
    at most `MAX_PROCESSES`."""
    return max(1, min(MAX_PROCESSES, usable_cpus() // 2 - 1))


class KilledError(NetwatchError):
    """The process was killed while it worked: for want of memory, or by what it was given."""


class CommitProcess(Generic[C]):
    """A process with something that commits, which `open_commits` opens there, so it has to be
    picklable. `name` says what it commits."""

    def __init__(self, name: str, open_commits: Callable[[], C]) -> None:
        self._name = name
        self._open = open_commits
        self._pool: ProcessPoolExecutor | None = None
        self._process: BaseProcess | None = None

    async def run(
        self, method: Callable[Concatenate[C, P], T], *arguments: P.args, **keywords: P.kwargs
    ) -> T:
        """What a method gives there. Calls are run one after the other. Raises what opening and
        the method raise, and `KilledError` where the process was killed meanwhile."""
        pool = self._pool = self._pool or self._start()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(pool, _run, method, arguments, keywords)
        except BrokenProcessPool:
            if self._pool is pool:
                self._pool = None
            pool.shutdown(wait=False)
            raise KilledError(f"the process that commits {self._name} was killed") from None

    def _start(self) -> ProcessPoolExecutor:
        # This process has threads, of which a fork would copy the locks and not the threads.
        context = multiprocessing.get_context("spawn")
        _start_tracker()
        others = {*multiprocessing.active_children()}
        pool = ProcessPoolExecutor(1, context, _begin, (gc.get_threshold(),))
        # What a process is started with has to fit into a pipe. Otherwise this one would wait until
        # that one reads; and if this one was killed meanwhile, that one would show a traceback.
        pool.submit(_prepare, self._open)
        (self._process,) = {*multiprocessing.active_children()} - others
        return pool

    def close(self, deadline: float | None = None) -> None:
        """End the process when it has done what it is doing, or at a deadline (monotonic)."""
        if self._pool is None or self._process is None:
            return
        self.stop()
        if deadline is None:
            deadline = time.monotonic() + CLOSE_SECONDS
        if not connection.wait([self._process.sentinel], max(0.0, deadline - time.monotonic())):
            self._process.kill()
        self._process.join()

    def stop(self) -> None:
        """Give the process nothing more to do, so that it ends."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def close_processes(processes: Sequence[CommitProcess[Any]]) -> None:
    """End processes, all at the same time."""
    deadline = time.monotonic() + CLOSE_SECONDS
    for each in processes:
        each.stop()
    for each in processes:
        each.close(deadline)


def _start_tracker() -> None:
    """Start the process of the standard library that removes the semaphores of this one. Where this
    one is killed it would warn of each of them."""
    sys.warnoptions.append(_QUIET)
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove(_QUIET)


_open_commits: Callable[[], Any] | None = None
_commits: Any = None


def _begin(threshold: tuple[int, int, int]) -> None:
    """Prepare a new process. What ends the centre also reaches its processes, by a terminal or
    systemd; it is the centre that ends them."""
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(number, signal.SIG_IGN)
    gc.set_threshold(*threshold)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _prepare(open_commits: Callable[[], Any]) -> None:
    """Note how to open what commits."""
    global _open_commits
    _open_commits = open_commits


def _end_with_parent() -> None:
    """End when the centre was killed: what is not committed comes again from the server."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run(method: Callable[..., T], arguments: tuple[object, ...], keywords: dict[str, object]) -> T:
    global _commits
    assert _open_commits is not None
    try:
        if _commits is None:
            _commits = _open_commits()
        return method(_commits, *arguments, **keywords)
    except Exception as error:
        raise sendable(error) from None
