"""The view of a running capture on a terminal, redrawn twice a second.

It uses the alternate screen of the terminal and restores it however the capture ends. It is
drawn in a thread of its own from snapshots alone, so that a slow terminal delays no packet.
It follows the size of the terminal, and uses no colours where NO_COLOR is set.
"""

import contextlib
from types import TracebackType

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from netwatch.watch.health import Thresholds
from netwatch.watch.screen import screen
from netwatch.watch.snapshot import History, TakeSnapshot

REFRESH = 2
"""Redraws per second."""


def can_show(console: Console) -> bool:
    """Whether the console is a terminal that supports cursor movement."""
    return console.is_terminal and not console.is_dumb_terminal


class View:
    """Shows a capture on `console` for as long as the context lasts."""

    def __init__(
        self,
        take_snapshot: TakeSnapshot,
        console: Console,
        thresholds: Thresholds | None = None,
    ) -> None:
        self._take_snapshot = take_snapshot
        self._console = console
        self._thresholds = thresholds or Thresholds()
        self._history = History()
        self._live = Live(
            get_renderable=self._render,
            console=console,
            screen=True,
            refresh_per_second=REFRESH,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def _render(self) -> RenderableType:
        snapshot = self._take_snapshot()
        rates = self._history.add(snapshot)
        width, height = self._console.size
        if width < 20 or height < 5:
            return Text("too small", no_wrap=True)
        return screen(snapshot, rates, width, height, self._thresholds)

    def __enter__(self) -> "View":
        try:
            self._live.start(refresh=True)
        except BaseException:
            # An interrupt may come when the alternate screen is already in use.
            self._live.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A terminal that was closed cannot be restored.
        with contextlib.suppress(OSError):
            self._live.stop()
