"""Puts the findings of several workers into the order of packet time.

The packets of one device may reach several workers, and the first contact of an incident
determines its id. So findings are delayed for as long as a worker may take to send a block,
and then released in the order of their packet times.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

DELAY = 0.1
"""Seconds that findings are delayed where there are several workers."""


class ReorderBuffer(Generic[T]):
    """Items ordered by packet time, each delayed by `delay` seconds. With a delay of 0 only
    the items that are added between two calls of `release` are put into order."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._items: list[tuple[int, int, T]] = []
        self._arrivals: deque[tuple[float, int]] = deque()
        self._added = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, packet_time: int, item: T, at: float) -> None:
        """Add an item that arrived at `at`, in seconds of the monotonic clock."""
        self._added += 1
        # The running number keeps items of the same time in the order of their arrival.
        heapq.heappush(self._items, (packet_time, self._added, item))
        self._arrivals.append((at, packet_time))

    def release(self, at: float) -> Iterator[T]:
        """The items whose delay is over at `at`, and all with an earlier packet time than
        one of these, in the order of packet time."""
        until = None
        while self._arrivals and self._arrivals[0][0] + self._delay <= at:
            _, packet_time = self._arrivals.popleft()
            until = packet_time if until is None else max(until, packet_time)
        while until is not None and self._items and self._items[0][0] <= until:
            yield heapq.heappop(self._items)[2]
