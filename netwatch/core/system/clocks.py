"""A clock that nobody can set."""

import sys
import time


def steady_seconds() -> float:
    """Seconds that increase evenly, whatever is done to the wall clock; on Linux also while the
    machine sleeps (CLOCK_BOOTTIME, clock_gettime(2))."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
