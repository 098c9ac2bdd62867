"""The connections that an endpoint serves at the same time, bounded in number and in time.

A client that sends its request a byte at a time, or does not read the answer, keeps a thread. So
of too many connections the oldest is closed: a client that asks at once is answered long before
that, however many slow ones there are.
"""

import contextlib
import socket
import threading
import time


class Connections:
    """At most `limit` connections, each for at most `seconds`. `closed` counts those that were
    closed because there were too many or they took too long."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._lock = threading.Lock()
        # In the order in which they began.
        self._begun: dict[socket.socket, float] = {}
        self.closed = 0

    def add(self, connection: socket.socket) -> None:
        """Add a connection. Where there are too many, the oldest is closed."""
        with self._lock:
            if len(self._begun) >= self._limit:
                self._close(next(iter(self._begun)))
            self._begun[connection] = time.monotonic()

    def remove(self, connection: socket.socket) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._begun.pop(connection, None)

    def close_overdue(self) -> None:
        """Close the connections that take too long."""
        with self._lock:
            begun = time.monotonic() - self._seconds
            for connection in [each for each, at in self._begun.items() if at <= begun]:
                self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        del self._begun[connection]
        self.closed += 1
        # The thread that serves it wakes up, and closes the descriptor.
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
