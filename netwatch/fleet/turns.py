"""Whose messages a centre commits next: sensors take turns.

A sensor that sends much waits for itself alone. Of each, a bounded number of messages waits here;
the server keeps the rest and gives it again later.
"""

import time
from collections import Counter, OrderedDict, deque
from typing import Any

SHARE_MESSAGES = 64
"""Messages of a sensor that wait here: what one has under way that waits for answers fits in."""

SHARE_BYTES = 24 << 20
"""Bytes of these messages."""


class Pace:
    """How many messages a second are looked at of each sensor; further ones are not."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._second = 0
        self._seen: Counter[str] = Counter()

    def allows(self, sensor: str) -> bool:
        """Whether another message of a sensor is looked at now."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._seen = second, Counter()
        self._seen[sensor] += 1
        return self._seen[sensor] <= self._limit


class Turns:
    """Messages that wait, by sensor. At most `count` of them, of about `size` bytes, are taken at
    a time, and a quarter of them of one sensor: others that come wait until these are committed."""

    def __init__(self, count: int, size: int) -> None:
        self._count, self._size = count, size
        self._waiting: OrderedDict[str, deque[tuple[Any, int]]] = OrderedDict()
        self._bytes: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, sensor: str, message: Any, size: int) -> bool:
        """Let a message wait; whether its sensor has room for it."""
        own = self._waiting.get(sensor)
        if own is None:
            self._waiting[sensor] = deque([(message, size)])
            self._bytes[sensor] = size
            return True
        if len(own) >= SHARE_MESSAGES or self._bytes[sensor] + size > SHARE_BYTES:
            return False
        own.append((message, size))
        self._bytes[sensor] += size
        return True

    def take(self) -> list[Any]:
        """The next messages: one of each sensor, then another one of each, and so on."""
        found: list[Any] = []
        left = self._size
        for _ in range(max(1, self._count // 4)):
            for sensor in [*self._waiting]:
                if len(found) >= self._count or left <= 0:
                    return found
                own = self._waiting[sensor]
                message, size = own.popleft()
                self._bytes[sensor] -= size
                left -= size
                found.append(message)
                self._waiting.move_to_end(sensor)
                if not own:
                    del self._waiting[sensor], self._bytes[sensor]
        return found
