"""A live capture put together, in the one order that is safe, and taken down again.

Configuration first, since its mistakes cost nothing yet; then the interfaces, while the
rights are there; then the rights go; then the workers are forked, while no thread runs;
then all that has threads, files and locks.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from netwatch.capture import rights
from netwatch.config import Config, load
from netwatch.coverage.counts import Report
from netwatch.live.crew import Crew
from netwatch.live.events import Listener, Said
from netwatch.live.keeper import Keeper, Parts
from netwatch.live.ledger import Ledger
from netwatch.live.notify import Notify
from netwatch.live.output import Output
from netwatch.live.reload import Reloader
from netwatch.live.sources import FILE, openers
from netwatch.live.status import Board
from netwatch.live.store import Store
from netwatch.tally import Tally

STATE = "live.sqlite"
"""The state in the folder that systemd gives a unit (``STATE_DIRECTORY``)."""

LAST_WORDS = 5.0
"""Seconds that who reads the records has at the end."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user asks for; `options` are those of the source, `path` is that of the
    configuration."""

    interfaces: tuple[str, ...]
    source: str
    path: str | None = None
    fanout: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    user: str | None = None
    format: str = "table"
    output: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a capture. `gone` says that the reader of the records went away, `error`
    why a worker ended by itself."""

    tally: Tally
    ledger: Ledger
    report: Report
    config: Config
    seconds: float
    gone: bool
    error: str | None


def run(settings: Settings, listen: Listener) -> Outcome:
    """Capture until a signal or the end of the source. Raises `ConfigError`, `CaptureError`,
    and `NetwatchError` where something cannot be had."""
    started = time.monotonic()
    live = settings.source != FILE
    config = load(settings.path)
    sources = openers(settings.source, settings.interfaces, settings.fanout, settings.options)
    if settings.user:
        rights.drop(settings.user)
    # What is in the buffers now would be written by each process.
    sys.stdout.flush()
    sys.stderr.flush()
    with ExitStack() as stack:
        crew = Crew(sources, config, live)
        stack.callback(crew.close)
        keeper = _keeper(settings, crew, config, listen, stack)
        with _signals(keeper):
            keeper.run()
    tally = crew.tally()
    tally.files = len(settings.interfaces)
    return Outcome(
        tally,
        keeper.ledger,
        crew.coverage().report(tally.packets, tally.oddities),
        keeper.config,
        time.monotonic() - started,
        keeper.gone,
        keeper.error,
    )


def _keeper(
    settings: Settings, crew: Crew, config: Config, listen: Listener, stack: ExitStack
) -> Keeper:
    def trouble(text: str) -> None:
        listen(Said(text))

    state = _state(settings)
    store = None
    if state is None:
        told = "no --state: incidents that are open when it dies are told again as new"
        listen(Said(told, trouble=False))
    else:
        store = Store(state, trouble)
        stack.callback(store.close)
    output = Output(settings.format, settings.output, sys.stdout, trouble)
    stack.callback(output.close, LAST_WORDS)
    board = Board(settings.interfaces)
    parts = Parts(
        crew=crew,
        reloader=Reloader(settings.path, config),
        output=output,
        notify=Notify(),
        store=store,
        listeners=(listen, board),
        watchers=(board.update,),
    )
    return Keeper(parts, config, settings.interfaces, settings.source != FILE)


def _state(settings: Settings) -> Path | None:
    if settings.state:
        return Path(settings.state)
    folder = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(folder, STATE) if folder else None


@contextmanager
def _signals(keeper: Keeper) -> Iterator[None]:
    """SIGTERM and SIGINT end the capture, a second one at once; SIGHUP reloads."""
    ending = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ending
        if ending:
            raise KeyboardInterrupt
        ending = True
        keeper.stop(signal.Signals(number).name)

    def hangup(number: int, frame: FrameType | None) -> None:
        keeper.hangup()

    handlers: dict[int, Callable[[int, FrameType | None], None]] = {
        signal.SIGTERM: end,
        signal.SIGINT: end,
        signal.SIGHUP: hangup,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
