"""Workers that are asked to end before they have begun, and commands larger than a socket takes."""

import os
import time
from array import array
from dataclasses import replace
from typing import Any

import pytest
from support.waiting import TIMEOUT

from netwatch import config as configuration
from netwatch.capture.block import FIELDS, Block
from netwatch.live import worker_pool
from netwatch.live.messages import Reload, WorkerEnded, WorkerOptions
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


class Silent(Nothing):
    """The opener of a source that has no packets yet."""

    def blocks(self) -> Any:
        while not self.is_stopped:
            time.sleep(0.01)
            yield Block(b"", array("q", bytes(8 * FIELDS)), 0, (), 1, 0)

    is_stopped = False
    dropped = 0

    def stop(self) -> None:
        self.is_stopped = True


def test_a_worker_need_not_wait_for_the_rest_of_a_large_configuration() -> None:
    """Until it has all of it, it reads no packets, and its ring lasts a second."""
    config = configuration.load()
    large = replace(config, notes=("n" * (16 << 20),))
    options = WorkerOptions(live=False, keep_frames=False, recording=None)
    pool = WorkerPool([Silent()], config, options)  # type: ignore[list-item]
    try:
        pool.broadcast(Reload(1, large))
        # One turn may end with a message from before.
        messages = [message for _turn in range(3) for _, message in pool.receive(2.0)]
        assert any(getattr(message, "config_serial", 0) == 1 for message in messages)
    finally:
        pool.stop()
        pool.close()
