"""Wait for a condition instead of for a time."""

import os
import select
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TIMEOUT = 90.0
"""Seconds after which a wait fails: far longer than anything takes on a busy machine."""


class TimedOutError(AssertionError):
    """A condition did not become true in time."""


def wait_until(
    condition: Callable[[], T],
    what: str | Callable[[], str] = "a condition is true",
    *,
    timeout: float = TIMEOUT,
    interval: float = 0.01,
) -> T:
    """Wait until a condition is true and return its value.

    The condition is evaluated every `interval` seconds. After `timeout` seconds `TimedOutError` is
    raised; its message says `what` it waited for.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            text = what if isinstance(what, str) else what()
            raise TimedOutError(f"waited {timeout:g} s in vain until {text}")
        time.sleep(interval)
    return value


def read_until(descriptor: int, wanted: bytes, output: bytes = b"", *, start: int = 0) -> bytes:
    """Read from a terminal or pipe until the output contains `wanted` behind `start`.

    The output begins with what was read before; all of it is returned.
    """
    deadline = time.monotonic() + TIMEOUT
    while wanted not in output[start:]:
        if time.monotonic() > deadline:
            raise TimedOutError(f"no {wanted!r} came; the last output: {output[-2000:]!r}")
        if select.select([descriptor], [], [], 1)[0]:
            output += os.read(descriptor, 65536)
    return output
