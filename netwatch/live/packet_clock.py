"""Packet time that advances while no packets arrive.

An open incident must end after a time without contacts, also if no more packets arrive; from the
last packet on, packet time then advances with the system's monotonic clock. The wall clock is not
used for this, because it can be set. Such a step changes packet time, and must not age anything.

A packet that is older than expected does not necessarily show a step. Under load a process reads
packets late: they waited in the ring, are read in a burst, and processes that share an interface
are late by different times. Since the kernel stamps packets with the wall clock, lag and step
differ in how the wall clock moved relative to the monotonic one: only a step moves it. So a packet
shows a step

- back, if the wall clock was set back, and the packet's time is at least that far behind the time
  that a packet could have;
- forward, if the packet's time is later than any packet's time could be, which lag never explains.
"""

import time
from collections.abc import Callable

STEP_TOLERANCE = 10_000_000_000
"""The least change of the wall clock that counts as a step, and how far a packet's time may be off
without a step, ns."""

_READING_SPREAD = 50_000_000
"""How long the reading of both clocks may take to be exact enough, ns."""

_READINGS = 5
"""Attempts at such a reading; of those that all take longer the fastest is used."""


def wall_offset() -> int:
    """The difference between the wall clock and the monotonic clock now, in ns. It is constant
    unless the wall clock is set."""
    best: tuple[int, int] | None = None
    for _ in range(_READINGS):
        before = time.monotonic_ns()
        wall = time.time_ns()
        spread = time.monotonic_ns() - before
        if best is None or spread < best[0]:
            best = spread, wall - before
        if spread <= _READING_SPREAD:
            break
    assert best is not None
    return best[1]


class PacketClock:
    """Packet time in ns since the epoch, now.

    Methods take the reading `at` of the system's monotonic clock in ns. `live` means that packets
    are stamped as they arrive; otherwise they come from a file, and packet time only advances with
    packets and has no steps. `offset` is the sum of all steps: the time of a packet plus `offset`
    is *continuous time*, which has none. `steps` counts them. `read_wall_offset` is as
    `wall_offset`.
    """

    def __init__(self, live: bool, read_wall_offset: Callable[[], int] = wall_offset) -> None:
        self._live = live
        self._read_wall_offset = read_wall_offset
        self._time: int | None = None
        self._at = 0
        # Packet time minus monotonic time of a packet that is read without any lag.
        self._phase = 0
        # The phase before the last step, which late packets from before it still have.
        self._previous_phase: int | None = None
        self._wall = 0
        # Steps of the wall clock that no packet has shown yet.
        self._pending = 0
        self.offset = 0
        self.steps = 0

    def update(self, packet_time: int, at: int) -> bool:
        """Take the time of a packet that arrived at `at`; True if it shows a step."""
        phase = packet_time - at
        if self._time is None:
            self._wall = self._read_wall_offset()
            self._phase = max(phase, self._wall)
            self._time, self._at = packet_time, at
            return False
        if not self._live:
            self._time = max(self._time, packet_time)
            return False
        self._follow_wall_clock()
        step = self._step(phase)
        if step:
            self.offset -= step
            self.steps += 1
            self._previous_phase, self._phase = self._phase, self._phase + step
            self._pending = 0
            self._time, self._at = packet_time, at
        elif phase <= self._phase + STEP_TOLERANCE and packet_time > self._time:
            # The packets of several workers arrive out of order.
            self._time, self._at = packet_time, at
        return bool(step)

    def _follow_wall_clock(self) -> None:
        wall = self._read_wall_offset()
        moved, self._wall = wall - self._wall, wall
        if abs(moved) > STEP_TOLERANCE or self._pending:
            self._pending += moved
        else:
            # Small corrections are not steps, and do not add up to one.
            self._phase += moved
        if abs(self._pending) <= STEP_TOLERANCE:
            self._phase += self._pending
            self._pending = 0

    def _step(self, phase: int) -> int:
        """The step that a packet shows, in ns; 0 if it shows none."""
        ahead = phase - self._phase
        if ahead > STEP_TOLERANCE:
            if self._pending > STEP_TOLERANCE:
                return self._pending
            previous = self._previous_phase
            is_late = previous is not None and phase <= previous + STEP_TOLERANCE
            return 0 if is_late else ahead
        if self._pending < -STEP_TOLERANCE and ahead <= self._pending + STEP_TOLERANCE:
            return self._pending
        return 0

    def now(self, at: int) -> int | None:
        """The time that a packet would have now; None before the first packet."""
        if self._time is None:
            return None
        return self._time + (at - self._at if self._live else 0)

    def continuous(self, at: int) -> int | None:
        """The current continuous time, in ns; None before the first packet."""
        now = self.now(at)
        return None if now is None else now + self.offset
