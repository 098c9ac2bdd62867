"""What a live capture has decided and the writer of its store has not got yet.

What cannot be had again goes first: incidents, of which several make one message. Of a record that
replaces the one before (the coverage of an hour, the status of the sensor) the newest waits alone.
"""

import threading
from collections import deque

from netwatch.store import messages

QUEUE_LIMIT = 10_000
"""Records of incidents that wait for the writer; further ones are lost and counted."""

BATCH = 200
"""Incidents of one message."""


class StoreQueue:
    """The queue, of `limit` records of incidents; for several threads."""

    def __init__(self, limit: int = QUEUE_LIMIT) -> None:
        self._limit = limit
        self._decided = deque[object]()
        self._newest: dict[tuple[type, int], object] = {}
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._decided) + len(self._newest)

    def put(self, message: object) -> bool:
        """Queue a message; False where it does not fit."""
        with self._changed:
            part = message.part if isinstance(message, messages.HourCoverage) else 0
            if isinstance(message, messages.HourCoverage | messages.SensorStatus):
                self._newest.pop((type(message), part), None)
                self._newest[type(message), part] = message
            elif len(self._decided) >= self._limit:
                return False
            else:
                self._decided.append(message)
            self._changed.notify_all()
            return True

    def wait_for_room(self, timeout: float) -> bool:
        """Wait until a record fits, at most `timeout` s; whether it does."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._decided) < self._limit, timeout)

    def take(self, timeout: float = 0.0) -> object | None:
        """The next message; None where none comes within `timeout` s."""
        with self._changed:
            self._changed.wait_for(lambda: self._decided or self._newest, timeout)
            found = self._next()
            self._changed.notify_all()
            return found

    def _next(self) -> object | None:
        if not self._decided:
            return self._newest.pop(next(iter(self._newest))) if self._newest else None
        first = self._decided.popleft()
        if not isinstance(first, messages.Incidents):
            return first
        lines = [*first.lines]
        while self._decided and len(lines) < BATCH:
            following = self._decided[0]
            if not isinstance(following, messages.Incidents):
                break
            lines += following.lines
            self._decided.popleft()
        return messages.Incidents(lines)
