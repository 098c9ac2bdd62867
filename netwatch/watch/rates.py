"""How fast the counts of a running capture rise, from one snapshot to the next.

Snapshots come when somebody looks, not by a clock; a rate is taken between the newest one
and the oldest that is still within the span, so that it neither flickers nor lags. What is
kept is bounded by time and number.
"""

from collections import deque
from dataclasses import dataclass

from netwatch.watch.snapshot import Snapshot

SPAN = 3.0
"""Seconds over which a rate is taken."""

TREND = 120
"""Rates of packets that are kept, one a second: the last two minutes."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What comes in a second: packets, bits, names and dropped packets; and the packets a
    second of the last minutes, the oldest first."""

    packets: float = 0.0
    bits: float = 0.0
    names: float = 0.0
    dropped: float = 0.0
    trend: tuple[float, ...] = ()


class History:
    """The snapshots of the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int, int, int]] = deque(maxlen=64)
        self._trend: deque[float] = deque(maxlen=TREND)
        self._marked: tuple[float, int] | None = None

    def add(self, seen: Snapshot) -> Rates:
        """Take in a snapshot; the rates up to it. A clock that was set back, or counts that
        fell since another capture began, start it anew."""
        names = sum(seen.observations.values())
        counts = seen.packets, seen.octets, names, seen.dropped
        if self._seen and (seen.now < self._seen[-1][0] or seen.packets < self._seen[-1][1]):
            self._seen.clear()
            self._marked = None
        self._seen.append((seen.now, *counts))
        while len(self._seen) > 2 and self._seen[0][0] < seen.now - SPAN:
            self._seen.popleft()
        self._mark(seen)
        then, *before = self._seen[0]
        if seen.now <= then:
            return Rates(trend=tuple(self._trend))
        packets, octets, shown, dropped = (
            (now - old) / (seen.now - then) for now, old in zip(counts, before, strict=True)
        )
        return Rates(packets, octets * 8, shown, dropped, tuple(self._trend))

    def _mark(self, seen: Snapshot) -> None:
        """Once a second, the packets since the last time."""
        if self._marked is None:
            self._marked = seen.now, seen.packets
            return
        then, packets = self._marked
        if seen.now - then >= 1:
            self._trend.append((seen.packets - packets) / (seen.now - then))
            self._marked = seen.now, seen.packets
