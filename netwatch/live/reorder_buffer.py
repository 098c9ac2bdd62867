"""What several workers say, put back into the order of packet time.

The packets of one device may come to several workers, and the first of an incident gives
it its id. So contacts are held for a moment, as long as it takes a worker to hand over a
block, and then go on by their time.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

HOLD = 0.1
"""Seconds that contacts are held where there are several workers."""


class Held(Generic[T]):
    """Items by time, each for `hold` seconds; 0 gives only what came together its order."""

    def __init__(self, hold: float) -> None:
        self._hold = hold
        self._items: list[tuple[int, int, T]] = []
        self._arrived: deque[tuple[float, int]] = deque()
        self._number = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, time: int, item: T, at: float) -> None:
        """Take an item of this packet time, that came at this moment of the steady clock."""
        self._number += 1
        heapq.heappush(self._items, (time, self._number, item))
        self._arrived.append((at, time))

    def take(self, at: float) -> Iterator[T]:
        """What was held long enough, and all with earlier times, in the order of time."""
        until = None
        while self._arrived and self._arrived[0][0] + self._hold <= at:
            _, time = self._arrived.popleft()
            until = time if until is None else max(until, time)
        while until is not None and self._items and self._items[0][0] <= until:
            yield heapq.heappop(self._items)[2]
