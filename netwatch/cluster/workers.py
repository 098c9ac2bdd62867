"""Who does the tasks of a run: this process, processes of this machine, or a Dask cluster.

All have the same contract. A task that raises, or whose worker dies, ends nothing but itself: it
comes back as `Failed` or `Lost`. Of tasks that were under way when a worker died nobody knows which
one was to blame, so several may be lost; the caller tries each again, one by one.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

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
        """Each task with its outcome, in the order in which they end. Raises `NetwatchError` if
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

    def run(
        self, function: Function[T, R], tasks: Iterable[T]
    ) -> Iterator[tuple[T, R | Lost | Failed]]:
        """See `Workers`."""
        from netwatch.core.system import workers

        with workers.Workers(self.count, partial(attempt, function, self._config)) as pool:
            for _, task, outcome in pool.outcomes(tasks):
                if isinstance(outcome, workers.DiedError):
                    yield task, Lost()
                elif isinstance(outcome, Exception):
                    raise outcome
                else:
                    yield task, outcome

    def close(self) -> None:
        """See `Workers`."""
