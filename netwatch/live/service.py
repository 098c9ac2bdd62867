"""A live capture as a service: its signals (signal(7)), its notifications to the service manager
(sd_notify(3)), and its reports while it ends.

Each notification is one datagram to the socket in ``NOTIFY_SOCKET``. If that is not set, the
process was not started by a service manager, and nothing is sent.

Ending takes as long as there is progress: 100,000 open incidents must be closed, a slow disk must
take what is queued. A service manager without a sign of progress for `EXTENSION` kills the capture,
so code that waits reports it; code that makes no progress gives up before that, and counts what is
lost.
"""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from netwatch.core.text import escaped
from netwatch.live.events import Listener, Note

EXTENSION = 90.0
"""Seconds that the service manager waits for the next sign of progress."""

EXTEND_INTERVAL = 5.0
"""Seconds between two requests to the service manager."""

LOG_INTERVAL = 10.0
"""Seconds between two lines of the log; a capture that ends sooner has none."""


class ServiceManager:
    """The service manager that `environ` names, if any. `watchdog_interval` is the time in
    seconds between two watchdog notifications; None if it wants none."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_interval: float | None = None
        timeout = environ.get("WATCHDOG_USEC", "")
        if timeout.isdigit() and environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            # Half of the timeout, as sd_watchdog_enabled(3) recommends.
            self.watchdog_interval = int(timeout) / 2e6

    def ready(self, status: str) -> None:
        """The capture has started, or a reload has ended."""
        self._notify("READY=1", f"STATUS={escaped(status)}")

    def reloading(self) -> None:
        """A reload has begun."""
        self._notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def watchdog(self) -> None:
        """The capture works; without this the service manager restarts it."""
        self._notify("WATCHDOG=1")

    def stopping(self) -> None:
        """The capture is about to end."""
        self._notify("STOPPING=1")

    def extend(self, seconds: float, status: str) -> None:
        """The end makes progress: it may take so long until the next sign of that."""
        self._notify(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}", f"STATUS={escaped(status)}")

    def _notify(self, *lines: str) -> None:
        if not self._address:
            return
        # A service manager that is busy or gone must not end the capture.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.setblocking(False)
            end.sendto("\n".join(lines).encode(), self._address)


class Stopping:
    """Tells `manager` and `listener` that the end makes progress, with `clock` in s."""

    def __init__(
        self,
        manager: ServiceManager,
        listener: Listener,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manager = manager
        self._listener = listener
        self._clock = clock
        self._extend_at = 0.0
        self._log_at: float | None = None

    def progress(self, what: str) -> None:
        """There is progress; `what` describes how far it is."""
        now = self._clock()
        if self._log_at is None:
            self._log_at = now + LOG_INTERVAL
        if now >= self._extend_at:
            self._extend_at = now + EXTEND_INTERVAL
            self._manager.extend(EXTENSION, f"stopping: {what}")
        if now >= self._log_at:
            self._log_at = now + LOG_INTERVAL
            self._listener(Note(f"stopping: {what}", warning=False))


class SignalTarget(Protocol):
    """What signals act on. The methods are called inside a signal handler, so they only note the
    request."""

    def stop(self, reason: str) -> None: ...  # noqa: D102

    def reload(self) -> None: ...  # noqa: D102


@contextmanager
def signal_handlers(target: SignalTarget) -> Iterator[None]:
    """Within the context, SIGTERM and SIGINT stop the capture; a second one ends it at once
    (`KeyboardInterrupt`). SIGHUP reloads the configuration and reopens files, unless it was sent
    because the terminal on which the capture was started closed: then it stops."""
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
    """Within the context, and outside `signal_handlers`, a SIGHUP is only noted: it would end a
    process that is about to start or to end. The yielded function tells whether there was one."""
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
