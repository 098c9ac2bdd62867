"""A counting table of bounded size whose content does not depend on the order of arrival.

Of more keys than the limit, those that sort first stay. A key that was evicted has at least
`limit` keys before it from then on and never comes back, so every key in the table has been
counted from its first occurrence.
"""

from typing import Any


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
            return 0  # Whatever is evicted leaves a full table.
        return self.total - sum(count for count, _ in self.items.values())
