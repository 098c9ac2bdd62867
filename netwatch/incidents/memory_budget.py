"""How much memory the packets may take that are kept as proof of incidents.

What is kept is replaced by what is earlier or surer, and goes when incidents are told, so
nobody knows at any time how much there is without counting. Counting is done again only
when enough was offered since the last time to make a difference.
"""

from collections.abc import Callable

PROOF_BYTES = 128 << 20
"""Bytes of packets that incidents hold as proof; later contacts are told without."""


class Room:
    """Room for `limit` bytes, of which `held` counts those that are taken."""

    def __init__(self, held: Callable[[], int], limit: int = PROOF_BYTES) -> None:
        self._count = held
        self._limit = limit
        self._held = 0
        self._since = 0

    def has(self, size: int) -> bool:
        """Whether `size` more bytes fit, which are then taken to be held."""
        self._since += size
        if self._held + size > self._limit and self._since > self._limit // 16:
            self._held, self._since = self._count(), 0
        fits = self._held + size <= self._limit
        self._held += size if fits else 0
        return fits
