"""Writes to a pipe, a terminal or a socket in a thread of its own.

A reader that stalls (a pager, a terminal stopped with Ctrl-S, a log shipper that hangs) blocks
whoever writes to it: `select` does not prevent that, because a terminal is writable before it
has room for everything, and because another process may fill a pipe first. So only a thread of
this writer ever waits for the reader. What is not written yet is queued up to a limit.
"""

import os
import select
import threading
import time

WRITE_SIZE = 4096
"""Bytes that are written at a time (PIPE_BUF, pipe(7))."""

RETRY_INTERVAL = 0.5
"""Seconds after which a write that failed is tried again."""


class StreamWriter:
    """Writes bytes to `descriptor` in the order of `put`; the descriptor stays open.

    At most `limit` bytes are queued. `error` is the error of the last write, None where it
    succeeded; data that could not be written stays queued. The thread is started with the first
    data, so that a process may fork before.
    """

    def __init__(self, descriptor: int, limit: int) -> None:
        self._descriptor = descriptor
        self._limit = limit
        self._queue = bytearray()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self.error: OSError | None = None

    @property
    def queued(self) -> int:
        """Bytes that have not been written yet."""
        return len(self._queue)

    def put(self, data: bytes, *, required: bool = False) -> bool:
        """Queue data as a whole; False where it was discarded, because the queue is full or the
        writer is closed. `required` data is queued even beyond the limit."""
        with self._changed:
            if self._closed or (len(self._queue) + len(data) > self._limit and not required):
                return False
            self._queue += data
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=f"write-{self._descriptor}", daemon=True
                )
                self._thread.start()
            return True

    def flush(self) -> None:
        """Nothing: the thread writes as soon as it can."""

    def close(self, timeout: float) -> int:
        """Write the rest, waiting at most `timeout` seconds for a slow reader to accept the next
        piece; the bytes that could not be written."""
        with self._changed:
            left, deadline = len(self._queue), time.monotonic() + timeout
            while self._queue and self.error is None:
                if len(self._queue) < left:
                    left, deadline = len(self._queue), time.monotonic() + timeout
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    break
            self._closed = True
            self._changed.notify_all()
            return len(self._queue)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                piece = bytes(self._queue[:WRITE_SIZE])
            written, error = self._write(piece)
            with self._changed:
                del self._queue[:written]
                self.error = error
                self._changed.notify_all()
                if error is not None:
                    self._changed.wait_for(lambda: self._closed, RETRY_INTERVAL)

    def _write(self, piece: bytes) -> tuple[int, OSError | None]:
        """The bytes that were written, and the error if there was one."""
        try:
            return os.write(self._descriptor, piece), None
        except BlockingIOError:
            # Whoever else has the descriptor open made it non-blocking.
            select.select([], [self._descriptor], [], RETRY_INTERVAL)
            return 0, None
        except OSError as error:
            return 0, error
