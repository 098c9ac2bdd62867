"""What a live capture shows on standard error: a view on a terminal, lines elsewhere.

While the view has the terminal no line may be written; what is wrong is kept, and told
when the view is gone.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from netwatch.live.events import Event
from netwatch.live.log import Log
from netwatch.watch.health import Thresholds
from netwatch.watch.snapshot import Look
from netwatch.watch.view import View, can_show

KEPT_LIMIT = 200
"""Lines on what is wrong that are kept while the view is shown; of more the last."""


class ShownName:
    """Lines by `write`, and where `view` is wanted and there is a terminal the view."""

    def __init__(self, write: Callable[[str], None], *, quiet: bool, view: bool) -> None:
        self._write = write
        self._console = Console(stderr=True)
        self.view = view and not quiet and can_show(self._console)
        self._lines = Log(self._line, quiet or self.view)
        self._kept: deque[str] = deque(maxlen=KEPT_LIMIT)
        self._showing = False

    def log(self, event: Event) -> None:
        """A listener of the capture's events."""
        self._lines(event)

    @contextmanager
    def show(self, look: Look, limits: Thresholds) -> Iterator[None]:
        """Show the view within the context."""
        with View(look, self._console, limits):
            self._showing = True
            try:
                yield
            finally:
                self._showing = False

    def end(self) -> None:
        """The capture is over: the lines that were kept."""
        while self._kept:
            self._write(self._kept.popleft())

    def _line(self, text: str) -> None:
        if self._showing:
            self._kept.append(text)
        else:
            self._write(text)
