"""What signals do to a live capture (signal(7)): end it, or have it read all anew."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol


class Told(Protocol):
    """Whoever is told of signals, in the middle of whatever it does."""

    def stop(self, reason: str) -> None: ...  # noqa: D102

    def hangup(self) -> None: ...  # noqa: D102


@contextmanager
def handled(told: Told) -> Iterator[None]:
    """Within it SIGTERM and SIGINT end the capture, a second one at once, and SIGHUP has
    the configuration read and files opened anew, unless it says that the terminal is
    gone that the capture was started on."""
    ending = False
    terminal = _terminal()

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ending
        if ending:
            raise KeyboardInterrupt
        ending = True
        told.stop(signal.Signals(number).name)

    def hangup(number: int, frame: FrameType | None) -> None:
        if terminal and not _terminal():
            told.stop("the terminal was closed")
        else:
            told.hangup()

    handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
        signal.SIGTERM: end,
        signal.SIGINT: end,
        signal.SIGHUP: hangup,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminal() -> bool:
    """Whether standard error is a terminal that is there."""
    try:
        return os.isatty(sys.__stderr__.fileno()) if sys.__stderr__ is not None else False
    except (OSError, ValueError):
        return False
