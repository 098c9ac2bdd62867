"""How much memory the packets may take that are kept as proof of incidents.

What is kept is replaced by what is earlier or surer, and goes when incidents are told, so
nobody knows at any time how much there is without counting. Counting is done again only
when enough was offered since the last time to make a difference.
"""

from dataclasses import replace

from netwatch.incidents import Incidents
from netwatch.model import Observation
from netwatch.tally import Tally

PROOF_BYTES = 128 << 20
"""Bytes of packets that incidents hold as proof; later contacts are told without."""


class Room:
    """Room for the packets of `incidents`; `refused` counts the observations whose packets
    found none."""

    def __init__(self, incidents: Incidents, limit: int = PROOF_BYTES) -> None:
        self._incidents = incidents
        self._limit = limit
        self._held = 0
        self._since = 0
        self.refused = 0

    def admit(self, observation: Observation) -> Observation:
        """The observation, without its packets where there is no room for them."""
        if not observation.frames:
            return observation
        if not self._has(sum(len(frame.data) for frame in observation.frames)):
            self.refused += 1
            return replace(observation, frames=())
        return observation

    def merge(self, found: Incidents, tally: Tally) -> None:
        """Take incidents in, without their packets where there is no room; the tally counts
        that."""
        size = found.proof_bytes
        if size and not self._has(size):
            tally.oddities["proof-memory-full"] += len(found)
            found.forget_proof()
        self._incidents.merge(found)

    def _has(self, size: int) -> bool:
        self._since += size
        if self._held + size > self._limit and self._since > self._limit // 16:
            self._held, self._since = self._incidents.proof_bytes, 0
        fits = self._held + size <= self._limit
        self._held += size if fits else 0
        return fits
