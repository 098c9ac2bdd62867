"""What a capture says while it ends: to the service manager, which would kill it, and in the log.

To end takes as long as there is progress: 100,000 open incidents have to be closed, a slow disk has
to take what is queued. A service manager that was told of no progress for `EXTENSION` kills the
capture, so whoever waits tells of it; whoever does not get on gives up before that, and counts what
is lost.
"""

import time
from collections.abc import Callable

from netwatch.live.events import Listener, Note
from netwatch.live.sd_notify import ServiceManager

EXTENSION = 90.0
"""Seconds that the service manager waits for the next sign of progress."""

EXTEND_INTERVAL = 5.0
"""Seconds between two requests to the service manager."""

LOG_INTERVAL = 10.0
"""Seconds between two lines of the log; a capture that ends sooner has none."""


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
        """There is progress; `what` says how far it is."""
        now = self._clock()
        if self._log_at is None:
            self._log_at = now + LOG_INTERVAL
        if now >= self._extend_at:
            self._extend_at = now + EXTEND_INTERVAL
            self._manager.extend(EXTENSION, f"stopping: {what}")
        if now >= self._log_at:
            self._log_at = now + LOG_INTERVAL
            self._listener(Note(f"stopping: {what}", warning=False))
