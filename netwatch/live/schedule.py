"""Work that a loop repeats at fixed intervals."""

from collections.abc import Callable


class Schedule:
    """Actions with their intervals, in the order in which they were added. Times are in
    seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._tasks: list[tuple[Callable[[], None], float]] = []
        self._due: list[float] = []

    def every(self, interval: float, action: Callable[[], None], now: float) -> None:
        """Run `action` for the first time one interval after `now`."""
        self._tasks.append((action, interval))
        self._due.append(now + interval)

    def run_due(self, now: float) -> None:
        """Run the actions whose interval has passed. One that is late is not made up for."""
        for number, (action, interval) in enumerate(self._tasks):
            if now >= self._due[number]:
                self._due[number] = now + interval
                action()
