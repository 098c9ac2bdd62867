"""Which alerts have a line of their own in the log of a live capture: not more than a reader can
follow. Of the others it is said how many there were."""

from collections import Counter

from netwatch.core.text import quantity

LINES = 60
"""Alerts that have a line of their own in a minute."""

MINUTE = 60_000_000_000
"""A minute in ns."""


class AlertLines:
    """Counts alerts, by the first word of their line."""

    def __init__(self) -> None:
        self._began = 0
        self._shown = 0
        self._left_out: Counter[str] = Counter()

    def is_shown(self, word: str, now: int) -> bool:
        """Whether an alert at a time (ns) has a line of its own; otherwise it is counted."""
        if now - self._began >= MINUTE:
            self._began, self._shown = now, 0
        self._shown += 1
        if self._shown > LINES:
            self._left_out[word] += 1
        return self._shown <= LINES

    def left_out(self, now: int, *, at_end: bool = False) -> str:
        """What was left out, in words, once a minute is over or the capture has ended; empty before
        and where nothing was."""
        if not self._left_out or (now - self._began < MINUTE and not at_end):
            return ""
        found, self._left_out = self._left_out, Counter()
        words = ", ".join(f"{count:,} {word}" for word, count in sorted(found.items()))
        return f"{quantity(found.total(), 'more alert')}: {words}; the records have all of them"
