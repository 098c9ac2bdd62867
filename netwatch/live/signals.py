"""The signal handlers of a live capture (signal(7))."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol


class SignalTarget(Protocol):
    """What signals act on. The methods are called inside of a signal handler, so they only
    note what was asked for."""

    def stop(self, reason: str) -> None: ...  # noqa: D102

    def reload(self) -> None: ...  # noqa: D102


@contextmanager
def signal_handlers(target: SignalTarget) -> Iterator[None]:
    """Within the context, SIGTERM and SIGINT stop the capture; a second one ends it at once
    (`KeyboardInterrupt`). SIGHUP reloads the configuration and reopens files, except where
    it was sent because the terminal closed on which the capture was started: then it stops.
    """
    stopping = False
    on_terminal = _has_terminal()

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            raise KeyboardInterrupt
        stopping = True
        target.stop(signal.Signals(number).name)

    def hang_up(number: int, frame: FrameType | None) -> None:
        if on_terminal and not _has_terminal():
            target.stop("the terminal was closed")
        else:
            target.reload()

    handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
        signal.SIGTERM: stop,
        signal.SIGINT: stop,
        signal.SIGHUP: hang_up,
    }
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def hang_ups_noted() -> Iterator[Callable[[], bool]]:
    """Within the context, and outside of `signal_handlers`, a SIGHUP is only noted: it would end
    a process that is about to start or to end. The function that is yielded says whether there
    was one."""
    noted = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal noted
        noted = True

    previous = signal.signal(signal.SIGHUP, note)
    try:
        yield lambda: noted
    finally:
        signal.signal(signal.SIGHUP, previous)


def _has_terminal() -> bool:
    """Whether standard error is a terminal that still exists."""
    try:
        return os.isatty(sys.__stderr__.fileno()) if sys.__stderr__ is not None else False
    except (OSError, ValueError):
        return False
