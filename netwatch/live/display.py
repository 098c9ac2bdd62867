"""What a live capture shows on standard error: a view on a terminal, log lines elsewhere.

Within the context of a `Display`, `sys.stderr` is a stream that never blocks, so that whatever a
thread prints (a warning, a traceback, the summary at the end) cannot delay the capture.
"""

import contextlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, cast

from rich.console import Console

from netwatch.formats.log_line import LogFormat
from netwatch.live.events import Event, Log
from netwatch.live.message_stream import MESSAGE_LIMIT, MessageStream, ScreenStream, StreamWriter
from netwatch.watch.health import Thresholds
from netwatch.watch.screen import View, can_show
from netwatch.watch.snapshot import TakeSnapshot

END_TIMEOUT = 2.0
"""Seconds that the reader of standard error has at the end to accept the next piece."""


class Display:
    """Logs events on standard error. `has_view` says whether there is a terminal and `view` was
    asked for; then only warnings are logged, when the view has ended. `messages` is the stream
    of all messages."""

    def __init__(self, *, quiet: bool, view: bool, log_format: LogFormat = "text") -> None:
        descriptor, terminal = _standard_error()
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        self._writer = None if descriptor is None else StreamWriter(descriptor, MESSAGE_LIMIT)
        self.messages = MessageStream(self._writer, encoding)
        self._screen = ScreenStream(self._writer, encoding, terminal=terminal)
        self._console = Console(file=cast(IO[str], self._screen))
        self._redirection = contextlib.redirect_stderr(self.messages)
        self.has_view = view and not quiet and can_show(self._console)
        self._log = Log(self._line, quiet or self.has_view, form=log_format)

    def __enter__(self) -> "Display":
        self._redirection.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._redirection.__exit__(kind, error, trace)
        if self._writer is not None:
            self._writer.close(END_TIMEOUT)

    def log(self, event: Event) -> None:
        """Log an event of the capture; may be called by any thread."""
        self._log(event)

    @contextmanager
    def show(self, snapshot: TakeSnapshot, thresholds: Thresholds) -> Iterator[None]:
        """Show the view within the context."""
        self.messages.hold()
        try:
            with View(snapshot, self._console, thresholds):
                try:
                    yield
                finally:
                    self._screen.end()
        finally:
            self.messages.release()

    def _line(self, text: str) -> None:
        self.messages.write(f"{text}\n")


def _standard_error() -> tuple[int | None, bool]:
    """The descriptor of standard error, None if that is closed, and whether it is a
    terminal."""
    if sys.stderr is None:
        return None, False
    try:
        return sys.stderr.fileno(), sys.stderr.isatty()
    except (OSError, ValueError):
        return None, False
