"""The memory budget for packets that are kept as evidence.

Packets in memory are replaced by earlier or stronger ones and are released when their incident
is reported, so the bytes in use are known only by measuring them. Measuring walks all incidents;
it is repeated only after a sixteenth of the budget has been requested since the last time.
"""

from collections.abc import Callable

EVIDENCE_BYTES = 128 << 20
"""Bytes of packets that all incidents together keep as evidence; the packets of later contacts
are dropped."""


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
        """Reserve `size` bytes; False where they exceed the budget, and nothing is reserved."""
        self._requested += size
        fits = self.fits(size)
        self._used += size if fits else 0
        return fits
