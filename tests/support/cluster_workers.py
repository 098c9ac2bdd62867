"""What Dask loads into the workers of a test: units are counted when they begin to be read, and a
capture that is called ``poison`` kills the worker that reads it.

``DASK_DISTRIBUTED__WORKER__PRELOAD`` names this module; each start is a line of the file that
``NETWATCH_TEST_STARTS`` names. ``NETWATCH_TEST_VERSION`` is the version that a worker says it has.
"""

import os
import signal
import time
from pathlib import Path

from netwatch.cluster import tasks, workers
from netwatch.config import Config

_judge = tasks.judge


def judge(config: Config, task: tasks.UnitTask) -> tasks.UnitDone:
    """Judge a unit, after its start was noted. One whose result is there, sealed, is not read."""
    if tasks.sealed(task.storage, task.kept, task.key) is not None:
        return _judge(config, task)
    with Path(os.environ["NETWATCH_TEST_STARTS"]).open("a") as stream:
        stream.write(f"{os.getpid()} {task.unit.name}\n")
    if "poison" in task.unit.name:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(float(os.environ.get("NETWATCH_TEST_PAUSE", "0")))
    return _judge(config, task)


def dask_setup(_worker: object) -> None:
    """Called by Dask in each worker."""
    tasks.judge = judge
    if version := os.environ.get("NETWATCH_TEST_VERSION"):
        workers.code_version = lambda: version
