"""Who does the tasks of a run: this process, processes of this machine, or a Dask cluster.

All have the same contract. A task that raises, or whose worker dies, ends nothing but itself: it
comes back as `Failed` or `Lost`. Of tasks that were under way when a worker died nobody knows which
one was to blame, so several may be lost; whoever asks tries each again, alone.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from netwatch.config import Config
from netwatch.core.errors import NetwatchError

T = TypeVar("T")
R = TypeVar("R")

Function = Callable[[Config, T], R]
"""What is done with a task, by a worker that has the configuration."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker of a task died."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A task raised something that is not expected; `reason` is a clause."""

    reason: str


class Workers(Protocol):
    """Workers that have a configuration. `count` is how many tasks they do at a time, as far as
    that is known."""

    count: int

    def run(
        self, function: Function[T, R], tasks: Iterable[T]
    ) -> Iterator[tuple[T, R | Lost | Failed]]:
        """Each task with its outcome, in the order in which they end. Raises `NetwatchError` where
        a task does, which ends the run."""
        ...

    def close(self) -> None:
        """End what was begun."""
        ...


def attempt(function: Function[T, R], config: Config, task: T) -> R | Failed:
    """What a function gives, or why it gives nothing. Raises `NetwatchError`."""
    try:
        return function(config, task)
    except NetwatchError:
        raise
    except Exception as error:  # Whatever it is, the other units are not concerned.
        return Failed(f"{type(error).__name__}: {error}")


class ThisProcess:
    """Does the tasks here, one after the other."""

    count = 1

    def __init__(self, config: Config) -> None:
        self._config = config

    def run(
        self, function: Function[T, R], tasks: Iterable[T]
    ) -> Iterator[tuple[T, R | Lost | Failed]]:
        """See `Workers`."""
        for task in tasks:
            yield task, attempt(function, self._config, task)

    def close(self) -> None:
        """See `Workers`."""


class Processes:
    """Processes of this machine, which are forked with the configuration."""

    def __init__(self, config: Config, count: int) -> None:
        self.count = count
        self._config = config
        self._pool: Any = None

    def run(
        self, function: Function[T, R], tasks: Iterable[T]
    ) -> Iterator[tuple[T, R | Lost | Failed]]:
        """See `Workers`."""
        from concurrent.futures import FIRST_COMPLETED, Future, wait
        from concurrent.futures.process import BrokenProcessPool

        pending = iter(tasks)
        under_way: dict[Future[R | Failed], tuple[T, Any]] = {}
        while True:
            # One more than there are processes, so that none waits for its next task.
            while len(under_way) <= self.count and (task := next(pending, _END)) is not _END:
                pool = self._started()
                under_way[pool.submit(_attempt_here, function, task)] = task, pool
            if not under_way:
                return
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                task, pool = under_way.pop(future)
                try:
                    outcome: R | Lost | Failed = future.result()
                except BrokenProcessPool:
                    outcome = Lost()
                    if pool is self._pool:
                        self.close()
                yield task, outcome

    def _started(self) -> Any:
        if self._pool is None:
            from concurrent.futures import ProcessPoolExecutor

            self._pool = ProcessPoolExecutor(
                self.count, initializer=_begin, initargs=(self._config, os.getpid())
            )
        return self._pool

    def close(self) -> None:
        """See `Workers`."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


_END: Any = object()
_config: Config | None = None


def _begin(config: Config, parent: int) -> None:
    """The first thing that a process does: it keeps the configuration, and will end with the
    process that made it, whatever ends that."""
    from netwatch.core.system.processes import die_with
    from netwatch.engine.forking import begin_worker

    global _config
    _config = config
    begin_worker()
    die_with(parent)


def _attempt_here(function: Function[T, R], task: T) -> R | Failed:
    assert _config is not None
    return attempt(function, _config, task)
