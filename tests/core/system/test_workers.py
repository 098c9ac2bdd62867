"""How worker processes start, answer, die and end."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from support.waiting import wait_until

from netwatch.core.errors import NetwatchError
from netwatch.core.system import kernel
from netwatch.core.system.workers import DiedError, WorkerProcess, Workers, serve


def doubled(number: int) -> int:
    """A task: 3 and 4 raise, 5 kills its process."""
    if number == 3:
        raise ValueError("three")
    if number == 4:
        raise ConnectionResetError("the storage hung up")
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def slow_first(number: int) -> int:
    time.sleep(0.05 if number == 0 else 0)
    return number


def open_pipes(_: int) -> int:
    """The sockets among the descriptors of a process."""
    return sum(path.is_socket() for path in Path("/proc/self/fd").iterdir())


def start_method(_: int) -> str:
    return multiprocessing.get_start_method()


@pytest.mark.parametrize("can_fork", [True, False])
def test_workers_are_spawned_where_forking_is_not_safe(
    can_fork: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "CAN_FORK", can_fork)
    with Workers(1, start_method) as pool:
        assert [*pool.results([0])] == ["fork" if can_fork else "spawn"]


@pytest.fixture(params=[True, False], ids=["forked", "spawned"])
def worker(request: pytest.FixtureRequest) -> Iterator[WorkerProcess]:
    made = WorkerProcess(partial(serve, doubled), is_forked=request.param, dies_with_this=True)
    yield made
    made.end()


def test_it_answers_fails_and_dies(worker: WorkerProcess) -> None:
    assert worker.ask(2) == 4
    with pytest.raises(ValueError, match="three"):
        worker.ask(3)
    # It is not taken for the end of the process that asks.
    with pytest.raises(ConnectionResetError, match="the storage hung up"):
        worker.ask(4)
    assert worker.ask(6) == 12
    with pytest.raises(DiedError, match=r"a worker process died unexpectedly \(exit status -9\)"):
        worker.ask(5)
    with pytest.raises(DiedError):
        worker.ask(6)


def test_it_leaves_interrupts_to_the_process_that_started_it() -> None:
    worker = WorkerProcess(partial(serve, doubled))
    assert worker.ask(1) == 2
    os.kill(worker.pid, signal.SIGINT)
    assert worker.ask(2) == 4
    worker.end(60.0)
    assert worker.status == 0


def test_it_is_killed_when_its_time_is_up(tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def hang(_: Connection) -> None:
        begun.touch()
        signal.pause()

    worker = WorkerProcess(hang)
    wait_until(begun.exists)
    worker.end(0.01)
    assert worker.status == -signal.SIGKILL


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_it_has_no_descriptor_of_another_worker() -> None:
    workers = [WorkerProcess(partial(serve, open_pipes)) for _ in range(3)]
    assert len({worker.ask(0) for worker in workers}) == 1
    for worker in workers:
        worker.end()


def test_a_task_that_fails_or_kills_its_process_ends_only_itself() -> None:
    with Workers(2, doubled) as pool:
        found = {task: outcome for _, task, outcome in pool.outcomes(range(8))}
    failed = {task: type(found.pop(task)) for task in (3, 4, 5)}
    assert failed == {3: ValueError, 4: ConnectionResetError, 5: DiedError}
    assert found == {task: 2 * task for task in found}
    assert len(found) == 5


def test_results_come_in_the_order_of_the_tasks() -> None:
    with Workers(3, slow_first) as pool:
        assert list(pool.results(range(20))) == list(range(20))
    with Workers(2, doubled) as pool, pytest.raises(NetwatchError, match="died unexpectedly"):
        list(pool.results([1, 5, 2]))
