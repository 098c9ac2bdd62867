"""How fast the counters of a running capture rise, computed from successive snapshots.

Snapshots are taken when somebody looks, not at fixed times. A rate is computed between the
newest snapshot and the oldest one within the last seconds, so that it neither flickers nor
lags. The history is bounded by time and by number.
"""

from collections import deque
from dataclasses import dataclass

from netwatch.watch.snapshot import Snapshot

WINDOW = 3.0
"""Seconds over which a rate is computed."""

TREND = 120
"""Packet rates that are remembered, one per second: the last two minutes."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Packets, bits, names and dropped packets per second; `trend` has the packets per second
    of the last minutes, oldest first."""

    packets: float = 0.0
    bits: float = 0.0
    names: float = 0.0
    dropped: float = 0.0
    trend: tuple[float, ...] = ()


class History:
    """The counters of the last seconds' snapshots."""

    def __init__(self) -> None:
        # Time, packets, wire_bytes, names and dropped packets of each snapshot.
        self._samples: deque[tuple[float, int, int, int, int]] = deque(maxlen=64)
        self._trend: deque[float] = deque(maxlen=TREND)
        self._trend_sample: tuple[float, int] | None = None

    def add(self, snapshot: Snapshot) -> Rates:
        """Add a snapshot; the rates up to it. The history starts anew where the clock was set
        back, or where counters fell because another capture has begun."""
        now = snapshot.now
        names = sum(snapshot.observations.values())
        counts = snapshot.packets, snapshot.wire_bytes, names, snapshot.dropped
        if self._samples and (now < self._samples[-1][0] or counts[0] < self._samples[-1][1]):
            self._samples.clear()
            self._trend_sample = None
        self._samples.append((now, *counts))
        while len(self._samples) > 2 and self._samples[0][0] < now - WINDOW:
            self._samples.popleft()
        self._update_trend(now, snapshot.packets)
        since, *earlier = self._samples[0]
        if now <= since:
            return Rates(trend=tuple(self._trend))
        packets, wire_bytes, names_rate, dropped = (
            (new - old) / (now - since) for new, old in zip(counts, earlier, strict=True)
        )
        return Rates(packets, wire_bytes * 8, names_rate, dropped, tuple(self._trend))

    def _update_trend(self, now: float, packets: int) -> None:
        """Add the packet rate since the last call, at most once a second."""
        if self._trend_sample is None:
            self._trend_sample = now, packets
            return
        since, before = self._trend_sample
        if now - since >= 1:
            self._trend.append((packets - before) / (now - since))
            self._trend_sample = now, packets
