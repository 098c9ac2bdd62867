"""A live capture put together, in the one order that is safe, and taken down again.

Configuration first, since its mistakes cost nothing yet; then the interfaces, while the
rights are there; then the rights go; then the workers are forked, while no thread runs;
then all that has threads, files and locks.
"""

import importlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netwatch.capture import privileges as rights
from netwatch.config import Config, load
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import Report
from netwatch.delivery.delivery import Delivery
from netwatch.incidents.evidence_folder import EvidenceFolder
from netwatch.live.aggregator import Keeper, Parts
from netwatch.live.events import Listener, Said
from netwatch.live.messages import Manner
from netwatch.live.open_incidents import Ledger
from netwatch.live.output import Output
from netwatch.live.reload import Reloader
from netwatch.live.sd_notify import Notify
from netwatch.live.signals import handled
from netwatch.live.sources import FILE, openers
from netwatch.live.state_file import Store
from netwatch.live.status import Board
from netwatch.live.worker_pool import Crew
from netwatch.watch.endpoint import Endpoint
from netwatch.watch.health import Thresholds
from netwatch.watch.listen import Listen
from netwatch.watch.snapshot import Look

STATE = "live.sqlite"
"""The state in the folder that systemd gives a unit (``STATE_DIRECTORY``)."""

LAST_WORDS = 5.0
"""Seconds that who reads the records has at the end."""

DRAIN = 10.0
"""Seconds that outputs have at the end; what they did not take stays in the outbox."""

READ_LATER = ("hpack", "netwatch.protocols.certificate", "netwatch.protocols.quic_keys")
"""What parsers import when they first need it: here before rights are given up that may be
needed to read it, and before the first packet has to wait for it."""

Show = Callable[[Look, Thresholds], AbstractContextManager[object]]
"""Shows a capture for as long as the context lasts."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user asks for; `options` are those of the source, `path` is that of the
    configuration, `metrics` goes before what is written there."""

    interfaces: tuple[str, ...]
    source: str
    path: str | None = None
    fanout: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    user: str | None = None
    format: str = "table"
    output: str | None = None
    state: str | None = None
    evidence: str | None = None
    metrics: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """What a capture had no room for: packets that the kernel dropped, how often a ring was
    full, findings of workers, records."""

    packets: int
    freezes: int
    findings: int
    records: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a capture. `gone` says that the reader of the records went away, `error`
    why a worker ended by itself."""

    statistics: RunStatistics
    ledger: Ledger
    report: Report
    evidence: EvidenceFolder | None
    lost: Lost
    seconds: float
    gone: bool
    error: str | None


def run(settings: Settings, listen: Listener, show: Show | None = None) -> Outcome:
    """Capture until a signal or the end of the source. Raises `ConfigError`, `CaptureError`,
    and `NetwatchError` where something cannot be had."""
    started = time.monotonic()
    config = load(settings.path)
    for module in READ_LATER:
        importlib.import_module(module)
    sources = openers(settings.source, settings.interfaces, settings.fanout, settings.options)
    if settings.user:
        rights.drop(settings.user)
    # What is in the buffers now would be written by each process.
    sys.stdout.flush()
    sys.stderr.flush()
    manner = Manner(live=settings.source != FILE, keep_frames=settings.evidence is not None)
    with ExitStack() as stack:
        crew = Crew(sources, config, manner)
        stack.callback(crew.close)
        evidence = EvidenceFolder(settings.evidence, resuming=True) if settings.evidence else None
        keeper = _keeper(settings, crew, config, listen, show, evidence, stack)
        with handled(keeper):
            keeper.run()
    statistics = crew.statistics()
    statistics.files = len(settings.interfaces)
    return Outcome(
        statistics=statistics,
        ledger=keeper.ledger,
        report=crew.coverage().report(statistics.packets, statistics.anomalies),
        evidence=evidence,
        lost=Lost(crew.dropped, crew.freezes, crew.untold, keeper.output.left_out),
        seconds=time.monotonic() - started,
        gone=keeper.gone,
        error=keeper.error,
    )


def _keeper(
    settings: Settings,
    crew: Crew,
    config: Config,
    listen: Listener,
    show: Show | None,
    evidence: EvidenceFolder | None,
    stack: ExitStack,
) -> Keeper:
    def trouble(text: str) -> None:
        listen(Said(text))

    state = _state(settings)
    store = None
    if state is not None:
        store = Store(state, trouble)
        stack.callback(store.close)
    elif settings.source != FILE:
        told = "no --state: incidents that are open when it dies are told again as new"
        listen(Said(told, trouble=False))
    output = Output(settings.format, settings.output, sys.stdout, trouble)
    stack.callback(output.close, LAST_WORDS)
    delivery = Delivery(config.outputs, config.outbox, trouble) if config.outputs else None
    if delivery is not None:
        delivery.start()
        stack.callback(delivery.stop)
        stack.callback(_drained, delivery, trouble)
    board = Board(settings.interfaces, delivery, evidence)
    limits = config.metrics.limits if config.metrics is not None else Thresholds()
    where = Listen(*settings.metrics, limits) if settings.metrics else config.metrics
    if where is not None:
        stack.enter_context(Endpoint(where, board.look))
    if show is not None:
        stack.enter_context(show(board.look, limits))
    parts = Parts(
        crew=crew,
        reloader=Reloader(settings.path, config),
        output=output,
        notify=Notify(),
        store=store,
        deliver=delivery,
        prove=evidence.write if evidence is not None else None,
        listeners=(listen, board),
        watchers=(board.update,),
    )
    return Keeper(parts, config, settings.interfaces, settings.source != FILE)


def _drained(delivery: Delivery, trouble: Callable[[str], None]) -> None:
    left = delivery.drain(DRAIN)
    for name, queued in left.queued.items():
        if queued:
            trouble(f"output {name}: {queued:,} alerts stay in the outbox until the next start")


def _state(settings: Settings) -> Path | None:
    if settings.state:
        return Path(settings.state)
    folder = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(folder, STATE) if folder else None
