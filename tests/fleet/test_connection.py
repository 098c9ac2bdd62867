"""Works that run together end together, also those that swallow a cancellation."""

import asyncio

import pytest

from netwatch.fleet import connection
from netwatch.fleet.connection import run_together


@pytest.fixture(autouse=True)
def again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CANCEL_SECONDS", 0.01)


class Stubborn:
    """A work that goes on after the first cancellations, as one does in which `asyncio.wait_for`
    had a result at that moment."""

    def __init__(self, times: int) -> None:
        self.left = times

    async def run(self) -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.left -= 1
                if self.left < 0:
                    raise


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_work_that_swallows_a_cancellation_is_cancelled_again(times: int) -> None:
    stubborn = Stubborn(times)
    asyncio.run(run_together([stubborn.run(), asyncio.sleep(0)]))
    assert stubborn.left == -1


def test_whoever_is_cancelled_waits_for_all_of_them() -> None:
    stubborn = Stubborn(2)

    async def cancelled() -> None:
        task = asyncio.create_task(run_together([stubborn.run(), asyncio.sleep(3600)]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert stubborn.left == -1


def test_the_error_of_the_first_is_raised_when_all_have_ended() -> None:
    stubborn = Stubborn(1)

    async def fail() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        asyncio.run(run_together([fail(), stubborn.run()]))
    assert stubborn.left == -1
