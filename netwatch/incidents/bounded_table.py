"""Bounds on memory: counting tables whose content does not depend on the order of arrival, and the
budget for packets that are kept as evidence.

If there are more keys than the limit of a table, those that sort first stay. An evicted key has at
least `limit` keys before it from then on and never comes back, so every key in the table has been
counted from its first occurrence.

Packets in memory are replaced by earlier or stronger ones and are released when their incident is
reported, so the bytes in use must be measured. Measuring walks all incidents; it is repeated only
after a sixteenth of the budget has been requested since the last time.
"""

from collections.abc import Callable
from typing import Any

EVIDENCE_BYTES = 128 << 20
"""Bytes of packets that all incidents together keep as evidence; the packets of later contacts are
dropped."""


class BoundedTable:
    """Counts by key: the `limit` keys that sort first, each with its count and its first
    occurrence, and `total`, the sum of all counts including those of evicted keys."""

    __slots__ = ("items", "limit", "total", "worst")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        self.worst: Any = None
        self.items: dict[Any, tuple[int, Any]] = {}

    def add(self, key: Any, first: Any = (), count: int = 1) -> None:
        """Count `key`; the smallest of the `first` values given for it is stored."""
        self.total += count
        known = self.items.get(key)
        if known is not None:
            self.items[key] = known[0] + count, min(known[1], first)
            return
        if len(self.items) >= self.limit:
            if self.worst is None:
                self.worst = max(self.items)
            if key > self.worst:
                return
            del self.items[self.worst]
        self.worst = None
        self.items[key] = count, first

    def merge(self, other: "BoundedTable") -> None:
        """Add everything that another table counted."""
        for key, (count, first) in other.items.items():
            self.add(key, first, count)
        self.total += other.left_out

    @property
    def left_out(self) -> int:
        """The sum of the counts whose keys are not in the table."""
        if len(self.items) < self.limit:
            return 0  # Only a full table evicts.
        return self.total - sum(count for count, _ in self.items.values())


class MemoryBudget:
    """A budget of `limit` bytes; `measure` returns how many bytes are in use now."""

    def __init__(self, measure: Callable[[], int], limit: int = EVIDENCE_BYTES) -> None:
        self._measure = measure
        self._limit = limit
        self._used = 0
        self._requested = 0

    def fits(self, size: int) -> bool:
        """Whether `size` more bytes are within the budget."""
        if self._used + size > self._limit and self._requested > self._limit // 16:
            self._used, self._requested = self._measure(), 0
        return self._used + size <= self._limit

    def reserve(self, size: int) -> bool:
        """Reserve `size` bytes; False, without reserving anything, if they exceed the budget."""
        self._requested += size
        fits = self.fits(size)
        self._used += size if fits else 0
        return fits
