"""Bursts of activity: contacts without a longer pause between them, and how regularly they come."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netwatch.incidents.activity import APP_ONLY, PAGE, SHARED, Activity, ActivityTable
from netwatch.incidents.kind_thresholds import VALUES

SECOND = 1_000_000_000
CONTACTED = (APP_ONLY, PAGE, SHARED)
"""The classes of hosts that were contacted, not only asked for."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Contacts without a longer pause: those with hosts that only the app calls, those with its
    hosts that pages call as well, and all of them; so many `minutes` have new contacts."""

    app_only: Activity
    page: Activity
    all: Activity
    minutes: int


def bursts(activity: ActivityTable, classes: Sequence[int] = CONTACTED) -> Iterator[Burst]:
    """The bursts of the activity of these classes, in order of time."""
    parts: dict[int, Activity] = {}
    minutes: set[int] = set()
    last: int | None = None
    for minute, kind in sorted(activity.entries):
        if kind not in classes:
            continue
        entry = activity.entries[minute, kind]
        if last is not None and entry.first - last > VALUES["burst_gap"] * SECOND:
            yield _burst(parts, len(minutes))
            parts, minutes, last = {}, set(), None
        minutes.add(minute)
        last = max(entry.last, last or entry.last)
        if kind in parts:
            parts[kind].add(entry)
        else:
            parts[kind] = entry.copy()
    if parts:
        yield _burst(parts, len(minutes))


def _burst(parts: dict[int, Activity], minutes: int) -> Burst:
    first, *others = parts.values()
    whole = first.copy()
    for other in others:
        whole.add(other)
    nothing = Activity(0, 0, 0)
    return Burst(parts.get(APP_ONLY, nothing), parts.get(PAGE, nothing), whole, minutes)


def are_enough(starts: Sequence[int]) -> bool:
    """Whether there are enough bursts to speak of intervals; `starts` are their first contacts."""
    return len(starts) >= VALUES["regular_bursts"]


def are_regular(starts: Sequence[int]) -> bool:
    """Whether bursts with these first contacts (ns, in order) come at regular intervals."""
    return are_enough(starts) and spread(starts)[1] <= VALUES["regular_variation"]


def are_timed(found: Sequence[Burst]) -> bool:
    """Whether bursts come so regularly, and are so small, that a timer of the app explains them."""
    starts = [burst.all.first for burst in found]
    return (
        are_regular(starts)
        and spread(starts)[0] >= VALUES["regular_seconds"]
        and all(burst.all.bytes_in <= VALUES["regular_bytes_in"] for burst in found)
    )


def spread(starts: Sequence[int]) -> tuple[float, float]:
    """The mean interval (s) of times in order (ns), and its coefficient of variation."""
    gaps = [seconds(earlier, later) for earlier, later in itertools.pairwise(starts)]
    mean = math.fsum(gaps) / len(gaps)
    variance = math.fsum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    return mean, math.sqrt(variance) / mean


def seconds(first: int, last: int) -> float:
    """Seconds from one time to another (ns)."""
    return (last - first) / SECOND
