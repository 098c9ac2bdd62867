"""Packet time that goes on when no packets come.

What is open has to end after a time of silence, also where nothing comes any more: then
the clock stands in for the packets. Only the steady clock is asked how much time went by,
since the one on the wall is set now and then; a packet whose time fits neither the
packets before it nor the steady clock shows that it was, and no age is taken from that.
"""

TOLERANCE = 10_000_000_000
"""How far packets may be off the steady clock before that is a step, ns."""


class Clock:
    """Where packet time stands, ns since the epoch.

    Asked with a moment of the steady clock (`at`, ns). `live` says that packets are taken as
    they come; else they are all there is, and neither go by a clock nor step. `shift` is
    what steps add up to: a time of packets plus `shift` is *steady time*, which never steps.
    `steps` counts them.
    """

    def __init__(self, live: bool) -> None:
        self._live = live
        self._time: int | None = None
        self._at = 0
        self.shift = 0
        self.steps = 0

    def seen(self, time: int, at: int) -> bool:
        """A packet of this time came; whether the clock was set before it."""
        if self._time is None:
            self._time, self._at = time, at
            return False
        if not self._live:
            self._time = max(self._time, time)
            return False
        expected = self._time + at - self._at
        if abs(time - expected) <= TOLERANCE:
            # Packets of several workers come a little out of order.
            if time > self._time:
                self._time, self._at = time, at
            return False
        self.shift += expected - time
        self.steps += 1
        self._time, self._at = time, at
        return True

    def now(self, at: int) -> int | None:
        """The time that a packet would have now; None before the first."""
        if self._time is None:
            return None
        return self._time + (at - self._at if self._live else 0)

    def steady(self, at: int) -> int | None:
        """The same as steady time."""
        now = self.now(at)
        return None if now is None else now + self.shift
