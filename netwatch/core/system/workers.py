"""Processes that work for this one, and how they live.

- **Start.** A worker is forked if that is safe, and has everything loaded at once; otherwise it is
  spawned, and gets its work pickled (`netwatch.core.system.kernel`). It closes this process's pipes
  to other workers, and leaves keyboard interrupts to it. A process with threads cannot be forked
  safely.
- **Messages.** Each side has one end of a pipe, over which it sends pickled messages.
- **Death.** The end of a worker closes with it: `receive` raises `DiedError` at once, with the exit
  status. A worker notices the death of this process in the same way, or is killed with it.
- **End.** It ends when its work does, usually when this process closes its end, and is killed when
  its time is up.
"""

import contextlib
import gc
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Self, TypeVar
from weakref import WeakSet

from netwatch.core.errors import NetwatchError
from netwatch.core.system import kernel

T = TypeVar("T")
R = TypeVar("R")

KEYBOARD = (signal.SIGINT,)
"""A terminal's signal, which ends this process, which ends its workers."""

ENDINGS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""The signals by which terminals and service managers end all processes of a service. What must end
last ignores them."""

END_SECONDS = 5.0
"""How long workers that are no longer needed may finish what they are doing, in s."""

_ends: WeakSet[Connection] = WeakSet()
"""The ends of pipes that a forked worker must close."""


class DiedError(NetwatchError):
    """A worker died unexpectedly: its exit status, negative if a signal ended it."""

    def __init__(self, name: str, status: int | None) -> None:
        super().__init__(f"{name} died unexpectedly (exit status {status})")
        self.status = status


@dataclass(frozen=True, slots=True)
class Failure:
    """The message of a worker whose work raised an exception."""

    error: Exception


def sendable(error: Exception) -> Exception:
    """An exception, or its text if it cannot be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # An exception may contain anything; its text is kept.
        return NetwatchError(f"a worker process failed: {error!r}")
    return error


@contextlib.contextmanager
def failures_sent(connection: Connection) -> Iterator[None]:
    """Send exceptions raised within, so that `receive` raises them in the other process. If that
    has ended, nothing is raised."""
    try:
        yield
    except Exception as error:  # Whatever it is, the other process raises it.
        with suppress(OSError):
            connection.send(Failure(sendable(error)))


@contextlib.contextmanager
def forking() -> Iterator[None]:
    """Where processes are forked.

    Garbage collectors of both processes ignore what exists by now: they would write to its pages
    and so copy them. A keyboard interrupt waits until the end: Python would lose one that comes
    during a fork.
    """
    if sys.platform == "win32":
        yield
        return
    gc.freeze()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, KEYBOARD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        gc.unfreeze()


class WorkerProcess:
    """A process that does `work` with its end of a pipe, whose other end is `connection`.

    It is forked if that is safe, or as `is_forked` says, and ignores the signals `ignored`. With
    `dies_with_this`, the system kills it when this process dies; otherwise it runs until it looks
    at its pipe. One that is not a `daemon` may have workers.
    """

    def __init__(
        self,
        work: Callable[[Connection], None],
        *,
        name: str = "a worker process",
        is_forked: bool | None = None,
        ignored: Sequence[int] = KEYBOARD,
        dies_with_this: bool = False,
        daemon: bool = True,
    ) -> None:
        is_forked = kernel.CAN_FORK if is_forked is None else is_forked
        context: Any = get_context("fork" if is_forked else "spawn")
        self.name = name
        with forking():
            self.connection, theirs = context.Pipe()
            _ends.add(self.connection)
            parent = os.getpid() if dies_with_this else None
            self._process = context.Process(
                target=_begin,
                args=(work, theirs, ignored, parent, is_forked),
                name=name,
                daemon=daemon,
            )
            self._process.start()
            theirs.close()

    @property
    def pid(self) -> int:
        """The process id."""
        return int(self._process.pid)

    @property
    def sentinel(self) -> int:
        """What `multiprocessing.connection.wait` waits for until the process has ended."""
        return int(self._process.sentinel)

    @property
    def status(self) -> int | None:
        """The exit status, negative if a signal ended it; None while it runs."""
        status: int | None = self._process.exitcode
        return status

    def send(self, message: object) -> None:
        """Send a message. Raises `OSError` if the process has ended."""
        self.connection.send(message)

    def receive(self) -> Any:
        """The next message, however long it takes. Raises `DiedError`, and what the work raised
        (`failures_sent`)."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            raise DiedError(self.name, self.join(END_SECONDS)) from None
        if isinstance(message, Failure):
            raise message.error
        return message

    def ask(self, message: object) -> Any:
        """Send a message, and receive the answer (`receive`)."""
        with suppress(OSError):  # It has died, as the answer will tell.
            self.send(message)
        return self.receive()

    def join(self, seconds: float | None = None) -> int | None:
        """Wait at most so long until the process has ended. Returns its exit status, None if it
        still runs."""
        self._process.join(seconds)
        return self.status

    def terminate(self) -> None:
        """Send the process SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def end(self, seconds: float = 0.0) -> None:
        """Close this end of the pipe, and kill the process unless it ends by itself in time."""
        self.connection.close()
        if seconds <= 0 or self.join(seconds) is None:
            self.kill()
            self.join()


def _begin(
    work: Callable[[Connection], None],
    connection: Connection,
    ignored: Sequence[int],
    parent: int | None,
    is_forked: bool,
) -> None:
    """The main function of a worker."""
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, KEYBOARD)
    if is_forked:
        for end in tuple(_ends):
            end.close()
        _ends.clear()
    if is_forked and parent is not None:
        kernel.die_with(parent)
    elif parent is not None:
        threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    _ends.add(connection)
    work(connection)


def _end_with_parent() -> None:
    """End when the process that spawned this one has ended."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def serve(function: Callable[[Any], object], connection: Connection) -> None:
    """Work that answers each message with the result of a function."""
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            return  # The other process has ended, or needs nothing more.
        with failures_sent(connection):
            connection.send(function(message))


class Workers(Generic[T, R]):
    """Up to `count` processes that do one task after the other with `function`, which they get at
    the start. A context manager, which ends them."""

    def __init__(self, count: int, function: Callable[[T], R]) -> None:
        self._count = count
        self._function = function
        self._idle: list[WorkerProcess] = []
        self._busy: dict[Any, tuple[int, T, WorkerProcess]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        kernel = [*self._idle, *(worker for _, _, worker in self._busy.values())]
        self._idle.clear()
        self._busy.clear()
        for worker in kernel:
            worker.connection.close()
        until = time.monotonic() + END_SECONDS
        for worker in kernel:
            worker.end(until - time.monotonic())

    def outcomes(self, tasks: Iterable[T]) -> Iterator[tuple[int, T, R | Exception]]:
        """The number of each task, the task, and its result, in the order in which they end. The
        result is the exception that it raised, or `DiedError` if its process died."""
        pending = iter(enumerate(tasks))
        self._give(pending, self._count)
        while self._busy:
            for connection in wait(list(self._busy)):
                number, task, worker = self._busy.pop(connection)
                outcome: R | Exception
                try:
                    outcome = worker.receive()
                except DiedError as error:
                    outcome = error
                    worker.end()
                except Exception as error:  # It is that of the task.
                    outcome = error
                    self._idle.append(worker)
                else:
                    self._idle.append(worker)
                self._give(pending, 1)
                yield number, task, outcome

    def results(self, tasks: Iterable[T]) -> Iterator[R]:
        """The results of the tasks, in their order. Raises what a task raised, and `DiedError` if
        its process died."""
        early: dict[int, R] = {}
        due = 0
        for number, _, outcome in self.outcomes(tasks):
            if isinstance(outcome, Exception):
                raise outcome
            early[number] = outcome
            while due in early:
                yield early.pop(due)
                due += 1

    def _give(self, pending: Iterator[tuple[int, T]], most: int) -> None:
        """Give the next tasks to processes, starting new ones if none is idle."""
        for number, task in islice(pending, most):
            worker = self._idle.pop() if self._idle else self._started()
            with suppress(OSError):  # It has died, as its answer will tell.
                worker.send(task)
            self._busy[worker.connection] = number, task, worker

    def _started(self) -> WorkerProcess:
        return WorkerProcess(partial(serve, self._function), dies_with_this=True)
