"""A two-way message channel between the aggregator and one worker process.

Neither end ever blocks, unless it asks to wait for the rest of a message. Messages that the other
end does not read yet are queued in memory up to a limit; beyond it they are discarded and counted.
Messages are pickled, which is safe because both ends are the same program.
"""

import os
import pickle
import select
import time
from collections import deque
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

QUEUE_LIMIT = 64 << 20
"""Bytes that are queued for the other end; further messages are discarded."""

_LENGTH_SIZE = 8
_READ_SIZE = 1 << 18


class Channel:
    """One end of a channel over the pipe to the other process.

    `queued` are bytes that the other end has not read yet, `discarded` counts messages
    that did not fit into the queue.
    """

    def __init__(self, end: Connection, limit: int = QUEUE_LIMIT) -> None:
        os.set_blocking(end.fileno(), False)
        self._end = end
        self._limit = limit
        self._outgoing: deque[memoryview] = deque()
        self._incoming = bytearray()
        self.queued = 0
        self.discarded = 0

    def send(self, message: Any, *, required: bool = False) -> bool:
        """Queue a message and send what the socket accepts; False where it was discarded. A
        `required` message is queued even beyond the limit."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        if self.queued + len(data) > self._limit and not required:
            self.discarded += 1
            return False
        framed = len(data).to_bytes(_LENGTH_SIZE, "big") + data
        self._outgoing.append(memoryview(framed))
        self.queued += len(framed)
        self.flush()
        return True

    def flush(self) -> None:
        """Send as much of the queue as the socket accepts without blocking. The queue is
        cleared where the other end has gone."""
        try:
            while self._outgoing:
                sent = os.write(self._end.fileno(), self._outgoing[0])
                self.queued -= sent
                if sent < len(self._outgoing[0]):
                    self._outgoing[0] = self._outgoing[0][sent:]
                else:
                    self._outgoing.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing.clear()
            self.queued = 0

    def finish(self) -> None:
        """Send the rest of the queue, however long the other end takes to read it, as long as it is
        there; from now on `send` waits as well."""
        os.set_blocking(self._end.fileno(), True)
        self.flush()

    def receive(self, patience: float = 0.0) -> tuple[list[Any], bool]:
        """The messages that have arrived, and whether the other end is still open. Where one has
        arrived in part, because it is larger than the buffer of the socket, its rest is waited for,
        at most `patience` seconds."""
        messages, is_open = self._receive()
        end = time.monotonic() + patience
        while self._incoming and is_open and (left := end - time.monotonic()) > 0:
            poll = select.poll()
            poll.register(self._end.fileno(), select.POLLIN)
            poll.poll(left * 1000)
            more, is_open = self._receive()
            messages += more
        return messages, is_open

    def _receive(self) -> tuple[list[Any], bool]:
        is_open = True
        try:
            while len(self._incoming) < self._limit and (
                data := os.read(self._end.fileno(), _READ_SIZE)
            ):
                self._incoming += data
            is_open = len(self._incoming) >= self._limit
        except BlockingIOError:
            pass
        except OSError:
            is_open = False
        messages = []
        at = 0
        while len(self._incoming) - at >= _LENGTH_SIZE:
            size = int.from_bytes(self._incoming[at : at + _LENGTH_SIZE], "big")
            if len(self._incoming) - at - _LENGTH_SIZE < size:
                break
            at += _LENGTH_SIZE
            messages.append(pickle.loads(memoryview(self._incoming)[at : at + size].tobytes()))
            at += size
        del self._incoming[:at]
        return messages, is_open

    def close(self) -> None:
        """Close this end; the other end notices when it next reads."""
        self._end.close()


def pair() -> tuple[Channel, Channel]:
    """The two ends of a new channel."""
    one, other = Pipe()
    return Channel(one), Channel(other)
