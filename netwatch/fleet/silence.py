"""When a sensor is silent, decided by the clock of the centre alone.

A sensor that is there sends a sign of life every few seconds, by a thread of its own, however busy
it is; anything else that it sends counts as one, too. It is *silent* when nothing came for `limit`,
and *back* with the next sign. A sensor that says goodbye has *stopped*: somebody wanted that. Two
things must never look like silence: an old clock on the sensor, so only the time of arrival counts,
and a centre that could not listen: until it has listened for `limit` without interruption, it says
nothing of a sensor. `Silences` notices an interruption by itself (its process was suspended), is
told of others (`interrupted`), and a start is one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

DEFAULT_SILENCE = 60.0
"""Seconds without a sign of life after which a sensor is silent."""

PAUSE_LIMIT = 10.0
"""Seconds between two looks after which the centre counts as interrupted."""

State = Literal["unheard", "present", "silent", "stopped"]
"""`unheard` is a sensor that was enrolled and never seen, of which no silence is reported."""

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Change:
    """A sensor is silent since `since`, is present again or for the first time, or has stopped.
    `since` and `at` are ns since the epoch by the centre's clock: when it was last heard, and when
    this was noticed. With `closes`, a silence that began at `since` is over."""

    sensor: str
    state: State
    since: int
    at: int
    closes: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What the centre remembers of a sensor from before its start: when it was last heard (ns, None
    for never), since when it has been silent (None if it has not), and whether it has stopped."""

    last_heard: int | None = None
    silent_since: int | None = None
    stopped: bool = False


class _Sensor:
    __slots__ = ("heard", "heard_at", "silent_since", "state")

    def __init__(self, known: Known) -> None:
        self.heard: float | None = None
        """When it was last heard, in s of the monotonic clock; None before the start."""
        self.heard_at = known.last_heard
        self.silent_since = known.silent_since
        self.state: State = "unheard"
        if known.silent_since is not None:
            self.state = "silent"
        elif known.stopped:
            self.state = "stopped"
        elif known.last_heard is not None:
            self.state = "present"


class Silences:
    """The sensors of a centre. `limit` is in s. `now` is always in s of the monotonic clock, `at`
    the time in ns since the epoch."""

    def __init__(self, now: float, limit: float = DEFAULT_SILENCE) -> None:
        self.limit = limit
        self._listening_since = now
        self._looked = now
        self._sensors: dict[str, _Sensor] = {}

    def restore(self, known: Mapping[str, Known]) -> None:
        """Begin with what was known before; sensors that are not in it are forgotten."""
        self._sensors = {
            name: self._sensors.get(name) or _Sensor(each) for name, each in known.items()
        }

    def heard(self, sensor: str, now: float, at: int, *, goodbye: bool = False) -> Change | None:
        """A sensor sent something; `goodbye` says that it stops. What that changes, if anything."""
        found = self._sensors.setdefault(sensor, _Sensor(Known()))
        before, silent_since = found.state, found.silent_since
        found.heard, found.heard_at, found.silent_since = now, at, None
        found.state = "stopped" if goodbye else "present"
        if found.state == before:
            return None
        if silent_since is None:
            return Change(sensor, found.state, at, at)
        return Change(sensor, found.state, silent_since, at, closes=True)

    def interrupted(self, now: float) -> None:
        """The centre could not listen until now."""
        self._listening_since = now

    def look(self, now: float, at: int) -> list[Change]:
        """The sensors that have become silent. To be called about once a second."""
        if now - self._looked > PAUSE_LIMIT:
            self._listening_since = now
        self._looked = now
        found = []
        for name, sensor in self._sensors.items():
            quiet = now - max(sensor.heard or self._listening_since, self._listening_since)
            if sensor.state == "present" and quiet > self.limit:
                since = sensor.heard_at if sensor.heard_at is not None else at - round(quiet * _NS)
                sensor.state, sensor.silent_since = "silent", since
                found.append(Change(name, "silent", since, at))
        return found

    def states(self) -> dict[str, State]:
        """The state of every sensor."""
        return {name: sensor.state for name, sensor in self._sensors.items()}

    def silent(self) -> Iterable[tuple[str, int]]:
        """The silent sensors, and since when (ns)."""
        for name, sensor in self._sensors.items():
            if sensor.silent_since is not None:
                yield name, sensor.silent_since
