"""How many streams of events are open, in all and of each account: one person who opens many keeps
nobody else from theirs.
"""

from collections import Counter
from dataclasses import dataclass, field

MAX_STREAMS = 100
"""Streams at a time; more are refused, and try again later."""

MAX_OF_ACCOUNT = 5
"""Streams of one account at a time. Browsers open six connections to one host, so that a further
stream would keep the same person from every page."""

WAIT_SECONDS = 30
"""After how long somebody who was refused may try again, in s."""


@dataclass
class StreamPlaces:
    """The places of one console, which are taken and left in one event loop; any thread may read
    how many are `open`, and how many streams were `refused` since the console began."""

    refused: int = 0
    _of: Counter[str] = field(default_factory=Counter)

    @property
    def open(self) -> int:
        """How many streams are open."""
        return self._of.total()

    def take(self, account: str) -> int:
        """Take a place; 0 if there is one, else the status of HTTP that says why there is none:
        429 if this account has as many as one may have, 503 if all are taken."""
        status = 0
        if self._of[account] >= MAX_OF_ACCOUNT:
            status = 429
        elif self.open >= MAX_STREAMS:
            status = 503
        if status:
            self.refused += 1
        else:
            self._of[account] += 1
        return status

    def leave(self, account: str) -> None:
        """Give a place back."""
        self._of[account] -= 1
        if self._of[account] <= 0:
            del self._of[account]
