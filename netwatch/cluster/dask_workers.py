"""The workers of a Dask cluster, which do the tasks of a run.

The configuration is the input of a task and not scattered: scattered data is gone when the workers
that hold it die, while a task is done again. Results are in the ledger, so a finished future is
released at once and nothing is computed twice. Dask takes some 50 ms for each of its tasks, as long
as reading 50 MB, so it gets ours in groups.

A cluster gets a bounded number of tasks at a time, so that its overhead per task stays small.

The first ones are sent singly. Then a group is as many tasks as took `GROUP_SECONDS` so far, but
never more than leaves work for all workers: groups become smaller towards the end, as in guided
self-scheduling (Polychronopoulos and Kuck, 1987).
"""

import asyncio
import contextlib
import importlib.util
import pickle
import secrets
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

from netwatch.cluster.workers import (
    Failed,
    Function,
    Lost,
    R,
    T,
    TlsFiles,
    attempt,
    count_workers,
    open_cluster,
)
from netwatch.config import Config
from netwatch.core.errors import NetwatchError

if TYPE_CHECKING:
    from distributed import Future

GROUP_SECONDS = 2.0
"""How long the tasks of a group should take together. A Dask task costs about 50 ms on top."""

MAX_GROUP = 1000
"""Tasks of a group, at most: with as many at a time, progress is visible."""

_PER_WORKER = 2

CONFIGURATION_ATTEMPTS = 4
"""How often a task is given to the workers if the configuration is blamed instead."""

START_SECONDS = 10
"""Seconds that the replacement of a dead worker has to start before the cluster ends."""

GATHER_SECONDS = 0.1
"""Seconds within which a worker must hand over a result, before the next one gets its turn."""

WINDOW = 64
"""Groups of tasks that the scheduler has at a time, at least, which an adaptive cluster must see;
otherwise four for each thread of a worker."""


class GroupSizes:
    """The sizes of the groups that `count` workers get."""

    def __init__(self, count: int) -> None:
        self._count = max(1, count)
        self._tasks = 0
        self._seconds = 0.0

    @property
    def is_known(self) -> bool:
        """Whether tasks were done, so that it is known how long they take."""
        return self._tasks > 0

    def took(self, tasks: int, seconds: float) -> None:
        """A group of so many tasks took so long. Older measurements count less."""
        self._tasks = tasks + self._tasks // 2
        self._seconds = seconds + self._seconds / 2

    def next(self, pending: int) -> int:
        """The size of the next group, of this many tasks that wait (at least 1)."""
        if not self._tasks:
            return 1
        fair = -(-pending // (_PER_WORKER * self._count))
        each = max(self._seconds / self._tasks, GROUP_SECONDS / MAX_GROUP)
        return max(1, min(fair, int(GROUP_SECONDS / each)))


class _WithoutConfiguration:
    """A task was not done, because the configuration's was blamed instead."""


class _Gone:
    """A result did not come in time; its worker may have died."""


@dataclass(frozen=True, slots=True)
class _Done(Generic[R]):
    """The results of the tasks of a group, in order, and the seconds that they took together."""

    outcomes: tuple[R | Failed, ...]
    seconds: float


class DaskWorkers:
    """The workers of the cluster at `address`; `count` is the number to start for ``local``. Raises
    `ConfigError` and `NetwatchError` if the cluster cannot be used."""

    def __init__(self, config: Config, address: str, count: int, tls: TlsFiles) -> None:
        self._address = address
        self._config: Future[Config] | None = None
        self._packed = pickle.dumps(config)
        self._requests: dict[Any, asyncio.Future[Any]] = {}
        self.count = 0
        self._client, self._cluster = open_cluster(address, count, tls)
        try:
            self.count = count_workers(self._client, address)
        except BaseException:
            self.close()
            raise

    @property
    def dashboard(self) -> str | None:
        """The address of Dask's dashboard; None if its requirements are not installed."""
        if importlib.util.find_spec("bokeh") is None:
            return None
        link: str = self._client.dashboard_link
        return link or None

    def run(
        self, function: Function[T, R], tasks: Iterable[T]
    ) -> Iterator[tuple[T, R | Lost | Failed]]:
        """See `netwatch.cluster.workers.Workers`."""
        from distributed import as_completed

        pending, groups = deque(tasks), GroupSizes(self.count)
        under_way = dict[Any, tuple[Sequence[T], Any, int]]()
        completed = as_completed(with_results=False)

        def submit(group: Sequence[T], attempts: int) -> None:
            future = self._client.submit(
                _attempt_each, function, self._configuration(), group, pure=False
            )
            under_way[future.key] = group, future, attempts
            completed.add(future)

        while True:
            window = max(WINDOW, 4 * self.count) if groups.is_known else 2 * self.count
            while pending and len(under_way) < window:
                size = groups.next(len(pending))
                submit([pending.popleft() for _ in range(size)], 1)
            if not under_way:
                return
            future = next(completed)
            group, _, attempts = under_way[future.key]
            outcome = self._outcome(future)
            if isinstance(outcome, _Gone):
                completed.add(future)
                continue
            del under_way[future.key]
            future.release()
            if isinstance(outcome, _WithoutConfiguration) and attempts < CONFIGURATION_ATTEMPTS:
                submit(group, attempts + 1)
            elif isinstance(outcome, _Done):
                groups.took(len(group), outcome.seconds)
                yield from zip(group, outcome.outcomes, strict=True)
            elif isinstance(outcome, Failed) and len(group) == 1:
                yield group[0], outcome
            else:
                # It is unknown which task of the group it was; each is tried again, on its own.
                for task in group:
                    yield task, Lost()

    def _configuration(self) -> "Future[Config]":
        """The task that returns the configuration. It is made again if it was blamed for the death
        of workers: they died before they could report it done."""
        if self._config is None or self._config.status == "error":
            key = f"netwatch-configuration-{secrets.token_hex(6)}"
            self._config = self._client.submit(_unpacked, self._packed, key=key, pure=False)
        return self._config

    def _outcome(
        self, future: "Future[_Done[R]]"
    ) -> "_Done[R] | Lost | Failed | _WithoutConfiguration | _Gone":
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        try:
            if future.status != "error":
                found: _Done[R] | _Gone = self._client.sync(self._fetched, future)
                return found
            error = future.exception()
        except Exception as raised:  # By the task, or because the scheduler is gone.
            error = raised
        if isinstance(error, KilledWorker):
            return Lost() if str(error.task) == str(future.key) else _WithoutConfiguration()
        if isinstance(error, NetwatchError):
            raise error
        if self._client.status != "running" or isinstance(error, FutureCancelledError):
            raise self._has_gone()
        return Failed(f"{type(error).__name__}: {error}")

    async def _fetched(self, future: "Future[R]") -> R | _Gone:
        """A result, if it comes soon. A worker that has it may have just died: then the task is
        done again, and finds its result in the ledger. Waiting for that here would keep the results
        of other tasks in workers, which may die as well.

        The request is never cancelled. `Client` joins requests, and after it had to cancel one
        before it was sent, all later ones join that one.
        """
        request = self._requests.get(future.key)
        if request is None:
            coroutine = self._client.gather(future, asynchronous=True)
            request = self._requests[future.key] = asyncio.ensure_future(coroutine)
        done, _ = await asyncio.wait({request}, timeout=GATHER_SECONDS)
        if not done:
            return _Gone()
        del self._requests[future.key]
        if request.cancelled():
            raise self._has_gone()
        result: R = request.result()
        return result

    def _has_gone(self) -> NetwatchError:
        return NetwatchError(
            f"the scheduler at {self._address} has gone; run the same command again, and it resumes"
            " from the ledger"
        )

    def close(self) -> None:
        """See `netwatch.cluster.workers.Workers`."""
        self._config = None
        if self._cluster is not None and self.count:
            # A worker that is still starting when its cluster ends prints a traceback.
            with contextlib.suppress(TimeoutError, OSError):
                self._client.wait_for_workers(self.count, timeout=START_SECONDS)
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _attempt_each(function: Function[T, R], config: Config, group: Sequence[T]) -> _Done[R]:
    began = time.monotonic()
    outcomes = tuple(attempt(function, config, task) for task in group)
    return _Done(outcomes, time.monotonic() - began)


def _unpacked(packed: bytes) -> Config:
    config: Config = pickle.loads(packed)
    return config
