"""How many tasks a cluster gets at a time, so that what it does for each of them weighs little.

The first ones come alone. Then a group is as many tasks as took `GROUP_SECONDS` so far, but never
more than leaves work for all workers: groups become smaller towards the end, as in guided
self-scheduling (Polychronopoulos and Kuck, 1987).
"""

GROUP_SECONDS = 2.0
"""How long the tasks of a group should take together. A task of Dask costs about 50 ms beside."""

MAX_GROUP = 1000
"""Tasks of a group at most: as many at a time show that there is progress."""

_PER_WORKER = 2


class GroupSizes:
    """The sizes of the groups that `count` workers get."""

    def __init__(self, count: int) -> None:
        self._count = max(1, count)
        self._tasks = 0
        self._seconds = 0.0

    @property
    def is_known(self) -> bool:
        """Whether tasks were done, so that it is known how long they take."""
        return self._tasks > 0

    def took(self, tasks: int, seconds: float) -> None:
        """A group of so many tasks took so long. What was longer ago counts less."""
        self._tasks = tasks + self._tasks // 2
        self._seconds = seconds + self._seconds / 2

    def next(self, pending: int) -> int:
        """The size of the next group, of this many tasks that wait (at least 1)."""
        if not self._tasks:
            return 1
        fair = -(-pending // (_PER_WORKER * self._count))
        each = max(self._seconds / self._tasks, GROUP_SECONDS / MAX_GROUP)
        return max(1, min(fair, int(GROUP_SECONDS / each)))
