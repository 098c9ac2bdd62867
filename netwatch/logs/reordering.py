"""Entries of a log in order of time, as far as a bounded buffer can bring them into it.

Programs write a record when they know all of it: a flow when it has ended, an answer when it came.
So records are nearly in the order of their times, and those of several files are not at all.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeVar

MAX_REORDERED = 4096
"""Entries that wait for earlier ones. What is earlier than one that was handed on is late."""

T = TypeVar("T")


def in_order(
    entries: Iterable[tuple[int, T]], anomalies: Counter[str], size: int = MAX_REORDERED
) -> Iterator[T]:
    """Entries with their times (ns), the earliest of `size` first; of those with the same time, the
    one that came first. Late ones are counted and handed on when they come."""
    waiting: list[tuple[int, int, T]] = []
    handed_on = 0
    for number, (time, entry) in enumerate(entries):
        if time < handed_on:
            anomalies["log-record-late"] += 1
            yield entry
            continue
        if len(waiting) < size:
            heapq.heappush(waiting, (time, number, entry))
            continue
        handed_on, _, earliest = heapq.heappushpop(waiting, (time, number, entry))
        yield earliest
    while waiting:
        yield heapq.heappop(waiting)[2]
