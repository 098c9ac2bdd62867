"""Processes in which a centre commits what sensors send.

One interpreter computes on one processor at a time, so a centre that committed in its threads would
have one processor for everything. A process that commits has an interpreter and a connection to the
catalogue of its own. It is started when there is something for it, and ends with the centre. If it
is killed, for want of memory for example, another one takes its place and gets the same messages:
to commit twice is the same as once.
"""

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from netwatch.core.errors import NetwatchError
from netwatch.core.system.processes import usable_cpus
from netwatch.core.system.workers import ENDINGS, DiedError, WorkerProcess, serve

MAX_PROCESSES = 4
"""Processes that commit alerts, and processes that commit facts."""

CLOSE_SECONDS = 20.0
"""Seconds that processes have at the end for what they are doing. Then they are killed: what is not
committed comes again."""

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
        # Calls wait for their turn, and for their answers, in a thread.
        self._turns = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._process: WorkerProcess | None = None

    async def run(
        self, method: Callable[Concatenate[C, P], T], *arguments: P.args, **keywords: P.kwargs
    ) -> T:
        """What a method gives there. Calls are run one after the other. Raises what opening and
        the method raise, and `KilledError` where the process was killed meanwhile."""
        call = method, arguments, keywords
        loop = asyncio.get_running_loop()
        result: T = await loop.run_in_executor(self._turns, self._answer, call)
        return result

    def _answer(self, call: object) -> Any:
        if self._process is None:
            # This process has threads, of which a fork would copy the locks and not the threads.
            self._process = WorkerProcess(
                partial(_commit, gc.get_threshold()),
                is_forked=False,
                ignored=ENDINGS,
                dies_with_this=True,
            )
            # What a process is started with has to fit into a pipe. Otherwise this one would wait
            # until that one reads; and if this one was killed meanwhile, that one would show a
            # traceback.
            with suppress(OSError):
                self._process.send(self._open)
        try:
            return self._process.ask(call)
        except DiedError:
            self._process = None
            raise KilledError(f"the process that commits {self._name} was killed") from None

    def close(self, deadline: float | None = None) -> None:
        """End the process when it has done what it is doing, or at a deadline (monotonic)."""
        self.stop()
        if deadline is None:
            deadline = time.monotonic() + CLOSE_SECONDS
        process = self._process
        if process is None:
            return
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), process.kill)
        timer.start()
        self._turns.shutdown()
        timer.cancel()
        process.end(deadline - time.monotonic())

    def stop(self) -> None:
        """Give the process nothing more to do, so that it ends."""
        self._turns.shutdown(wait=False, cancel_futures=True)


def close_processes(processes: Sequence[CommitProcess[Any]]) -> None:
    """End processes, all at the same time."""
    deadline = time.monotonic() + CLOSE_SECONDS
    for each in processes:
        each.stop()
    for each in processes:
        each.close(deadline)


def _commit(threshold: tuple[int, int, int], connection: Connection) -> None:
    """The work of such a process."""
    gc.set_threshold(*threshold)
    try:
        open_commits = connection.recv()
    except (EOFError, OSError):
        return  # The centre was killed.
    commits = None

    def answer(call: tuple[Callable[..., object], tuple[object, ...], dict[str, object]]) -> object:
        nonlocal commits
        method, arguments, keywords = call
        commits = open_commits() if commits is None else commits
        return method(commits, *arguments, **keywords)

    serve(answer, connection)
