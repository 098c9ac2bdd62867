"""What a live capture shows on standard error: a view on a terminal, log lines elsewhere.

While the view is shown no line may be written to the terminal. Warnings are buffered, and
written when the view has ended.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from netwatch.live.events import Event
from netwatch.live.log import Log
from netwatch.watch.health import Thresholds
from netwatch.watch.snapshot import TakeSnapshot
from netwatch.watch.view import View, can_show

BUFFERED_LINES = 200
"""Warnings that are buffered while the view is shown: the most recent ones."""


class Display:
    """Logs events by `write`. `has_view` says whether there is a terminal and `view` was
    asked for; then only warnings are logged."""

    def __init__(self, write: Callable[[str], None], *, quiet: bool, view: bool) -> None:
        self._write = write
        self._console = Console(stderr=True)
        self.has_view = view and not quiet and can_show(self._console)
        self._log = Log(self._line, quiet or self.has_view)
        self._buffered: deque[str] = deque(maxlen=BUFFERED_LINES)
        self._view_shown = False

    def log(self, event: Event) -> None:
        """Log an event of the capture."""
        self._log(event)

    @contextmanager
    def show(self, snapshot: TakeSnapshot, thresholds: Thresholds) -> Iterator[None]:
        """Show the view within the context."""
        with View(snapshot, self._console, thresholds):
            self._view_shown = True
            try:
                yield
            finally:
                self._view_shown = False

    def end(self) -> None:
        """Write the buffered lines; the view has ended."""
        while self._buffered:
            self._write(self._buffered.popleft())

    def _line(self, text: str) -> None:
        if self._view_shown:
            self._buffered.append(text)
        else:
            self._write(text)
