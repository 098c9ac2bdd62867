"""Whole messages between a process that captures and the one that keeps what it found.

Neither end ever waits for the other: what the other does not take yet is held in memory,
up to a bound, and beyond it turned away and counted. Messages are pickled, since both
ends are the same program.
"""

import pickle
import socket
from collections import deque
from typing import Any

BYTES_LIMIT = 64 << 20
"""Bytes that wait for the other end; further messages are turned away."""

_HEAD = 8
_PIECE = 1 << 18


class Channel:
    """One end of a pair. `dropped` counts the messages that were turned away, `waiting` are
    bytes that were not taken by the other end yet."""

    def __init__(self, end: socket.socket, limit: int = BYTES_LIMIT) -> None:
        end.setblocking(False)
        self._end = end
        self._limit = limit
        self._out: deque[memoryview] = deque()
        self._in = bytearray()
        self.waiting = 0
        self.dropped = 0

    def fileno(self) -> int:
        """The descriptor, for those who wait for something to come."""
        return self._end.fileno()

    def put(self, message: Any, *, needed: bool = False) -> bool:
        """Send a message as soon as it can be; whether it was accepted. One that is `needed`
        is accepted in any case."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        if self.waiting + len(data) > self._limit and not needed:
            self.dropped += 1
            return False
        whole = len(data).to_bytes(_HEAD, "big") + data
        self._out.append(memoryview(whole))
        self.waiting += len(whole)
        self.pump()
        return True

    def pump(self) -> None:
        """Send what can be sent without waiting. What is left is thrown away when the other
        end is gone."""
        try:
            while self._out:
                sent = self._end.send(self._out[0])
                self.waiting -= sent
                if sent < len(self._out[0]):
                    self._out[0] = self._out[0][sent:]
                else:
                    self._out.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()
            self.waiting = 0

    def finish(self, timeout: float) -> None:
        """Send what is left, waiting no longer than `timeout` seconds for each piece of it
        to go; then nothing more is sent."""
        self._end.settimeout(timeout)
        try:
            while self._out:
                self._end.sendall(self._out.popleft())
        except OSError:
            self._out.clear()
        self.waiting = 0

    def take(self) -> tuple[list[Any], bool]:
        """The messages that have come, and whether more may follow."""
        open_ = True
        try:
            while len(self._in) < self._limit and (piece := self._end.recv(_PIECE)):
                self._in += piece
            open_ = len(self._in) >= self._limit
        except BlockingIOError:
            pass
        except OSError:
            open_ = False
        messages = []
        at = 0
        while len(self._in) - at >= _HEAD:
            size = int.from_bytes(self._in[at : at + _HEAD], "big")
            if len(self._in) - at - _HEAD < size:
                break
            at += _HEAD
            messages.append(pickle.loads(memoryview(self._in)[at : at + size].tobytes()))
            at += size
        del self._in[:at]
        return messages, open_

    def close(self) -> None:
        """Give the end up; the other is told."""
        self._end.close()


def pair() -> tuple[Channel, Channel]:
    """Two ends that are joined."""
    one, other = socket.socketpair()
    return Channel(one), Channel(other)
