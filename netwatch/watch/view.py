"""The live view on a terminal: a screen that is drawn again twice a second.

It takes over the terminal while it runs and gives it back as it was, however the capture
ends. It draws in a thread of its own and only reads snapshots, so a slow terminal holds up
no packet. It follows the terminal's size, and leaves colours out where NO_COLOR asks for it.
"""

import contextlib
from types import TracebackType

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from netwatch.watch.health import Thresholds
from netwatch.watch.rates import History
from netwatch.watch.screen import screen
from netwatch.watch.snapshot import Look

REFRESH = 2
"""Times a second that the screen is drawn."""


def can_show(console: Console) -> bool:
    """Whether there is a terminal that can be drawn on."""
    return console.is_terminal and not console.is_dumb_terminal


class View:
    """Shows a capture on `console` from entering the context until it is left."""

    def __init__(self, look: Look, console: Console, limits: Thresholds | None = None) -> None:
        self._look = look
        self._console = console
        self._limits = limits or Thresholds()
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
        seen = self._look()
        width, height = self._console.size
        if width < 20 or height < 5:
            return Text("too small", no_wrap=True)
        return screen(seen, self._history.add(seen), width, height, self._limits)

    def __enter__(self) -> "View":
        try:
            self._live.start(refresh=True)
        except BaseException:  # an interrupt in the middle of it, when the screen is taken
            self._live.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A terminal that was closed cannot be given back.
        with contextlib.suppress(OSError):
            self._live.stop()
