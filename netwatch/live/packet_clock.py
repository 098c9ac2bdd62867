"""Packet time that advances while no packets arrive.

An open incident has to end after a time without contacts, also where no packet arrives any
more; from the last packet on, packet time then advances with the monotonic clock of the
system. The wall clock is not used for this, because it can be set. A packet whose time fits
neither the packets before it nor the monotonic clock shows that the clock which stamps the
packets was set. Such a step changes packet time, and must not age anything.
"""

STEP_TOLERANCE = 10_000_000_000
"""How far a packet's time may be off the expected time before that is a step, ns."""


class PacketClock:
    """Packet time in ns since the epoch, now.

    Methods take the reading `at` of the system's monotonic clock in ns. `live` says that
    packets are stamped as they arrive; else they come from a file, where packet time
    advances by packets alone and has no steps. `offset` is the sum of all steps: the time
    of a packet plus `offset` is *continuous time*, which has none. `steps` counts them.
    """

    def __init__(self, live: bool) -> None:
        self._live = live
        self._time: int | None = None
        self._at = 0
        self.offset = 0
        self.steps = 0

    def update(self, packet_time: int, at: int) -> bool:
        """Take the time of a packet that arrived at `at`; True where it shows a step."""
        if self._time is None:
            self._time, self._at = packet_time, at
            return False
        if not self._live:
            self._time = max(self._time, packet_time)
            return False
        expected = self._time + at - self._at
        if abs(packet_time - expected) <= STEP_TOLERANCE:
            # The packets of several workers arrive a little out of order.
            if packet_time > self._time:
                self._time, self._at = packet_time, at
            return False
        self.offset += expected - packet_time
        self.steps += 1
        self._time, self._at = packet_time, at
        return True

    def now(self, at: int) -> int | None:
        """The time that a packet would have now; None before the first packet."""
        if self._time is None:
            return None
        return self._time + (at - self._at if self._live else 0)

    def continuous(self, at: int) -> int | None:
        """The current continuous time, in ns; None before the first packet."""
        now = self.now(at)
        return None if now is None else now + self.offset
