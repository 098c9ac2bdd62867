"""A worker that is asked to end before it has begun."""

import os
import time
from typing import Any

import pytest
from support.waiting import TIMEOUT

from netwatch import config as configuration
from netwatch.live import worker_pool
from netwatch.live.messages import WorkerEnded, WorkerOptions
from netwatch.live.worker_pool import WorkerPool


class Nothing:
    """The opener of a source without packets."""

    def open(self) -> Any:
        return self

    def release(self) -> None:
        """There is nothing to release."""

    name, size, notes, unread = "nothing", None, (), None

    def blocks(self) -> Any:
        return iter(())

    def close(self) -> None:
        """There is nothing to close."""


def test_a_worker_that_is_asked_to_end_while_it_starts_ends_as_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is in its ring would be lost."""
    made, begins = worker_pool._run_worker, os.pipe()

    def start_late(*arguments: Any) -> None:
        os.read(begins[0], 1)
        made(*arguments)

    monkeypatch.setattr(worker_pool, "_run_worker", start_late)
    options = WorkerOptions(live=False, keep_frames=False, recording=None)
    pool = WorkerPool([Nothing()], configuration.load(), options)  # type: ignore[list-item]
    try:
        pool.stop()
        os.write(begins[1], b"x")
        until, ended = time.monotonic() + TIMEOUT, list[WorkerEnded]()
        while not ended and time.monotonic() < until:
            messages = [message for _, message in pool.receive(0.1)]
            ended = [each for each in messages if isinstance(each, WorkerEnded)]
        assert [each.error for each in ended] == [None]
    finally:
        pool.close()
        for end in begins:
            os.close(end)
