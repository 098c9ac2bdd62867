"""Starts a live capture in the only order that is safe, and ends it.

1. Read the configuration, since its mistakes cost nothing yet, and import all modules.
2. Open the interfaces, while the process has the privileges to do so.
3. Drop the privileges.
4. Fork the workers, while no thread runs.
5. Open what has threads, files and locks (`netwatch.live.resources`).
"""

import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from netwatch.capture import privileges
from netwatch.config import Config, load
from netwatch.core.errors import NetwatchError
from netwatch.core.private_files import below
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.counts import CoverageReport
from netwatch.fleet.sensor import is_sensor, outputs_of
from netwatch.fleet.sensor import require_extra as require_fleet
from netwatch.incidents.evidence_folder import EvidenceFolder
from netwatch.live.config_update import prepare
from netwatch.live.events import Listener
from netwatch.live.message_stream import MessageStream
from netwatch.live.messages import WorkerOptions
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.preload import preload, preload_fleet, preload_logs, preload_store
from netwatch.live.resources import Resources, ShowView
from netwatch.live.service import hang_ups_noted, signal_handlers
from netwatch.live.source_openers import (
    LiveOptions,
    LogOpener,
    SourceOpener,
    log_opener,
    source_openers,
)
from netwatch.live.worker_pool import WorkerPool
from netwatch.store.options import require_extra


@dataclass(frozen=True, slots=True)
class Losses:
    """What a capture lost: packets that the kernel dropped, how often a ring was full, and
    findings and records that were discarded because their queues were full. `unwritten` are
    bytes of further records, and `alerts` are alerts for outputs, that could not be written until
    the end. `unrecorded` are packets that were judged and not recorded for the store, None without
    one, and `unstored` are rows and records that it should have and has not."""

    packets: int
    ring_freezes: int
    findings: int
    records: int
    unwritten: int
    alerts: int
    unrecorded: int | None = None
    unstored: int = 0


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a capture. `config` is the configuration that was used last. `reader_gone` says
    that the reader of the records went away; `error` is the reason why a worker failed."""

    config: Config
    statistics: RunStatistics
    incidents: OpenIncidents
    coverage: CoverageReport
    evidence: EvidenceFolder | None
    losses: Losses
    seconds: float
    reader_gone: bool
    error: str | None


def run(
    options: LiveOptions,
    listener: Listener,
    messages: MessageStream,
    show_view: ShowView | None = None,
) -> RunResult:
    """Capture until a signal or the end of the file; `listener` gets every event, and what does
    not fit into `messages` is counted. Raises `ConfigError`, `CaptureError`, and `NetwatchError`
    if something cannot be opened."""
    started = time.monotonic()
    with ExitStack() as stack:
        was_hung_up = stack.enter_context(hang_ups_noted())
        config = load(options.config)
        stack.enter_context(below(config.store.path if config.store else None))
        sources = _open_sources(options, config)
        resources = Resources(options, config, listener, messages, stack)
        store = resources.start_store()
        worker_options = WorkerOptions(
            live=options.live,
            keep_frames=options.evidence is not None,
            recording=store.recording if store is not None else None,
        )
        pool = WorkerPool(sources, config, worker_options)
        if store is not None:
            store.begin()
            told = partial(resources.stopping.progress, "writing to the store")
            stack.callback(store.end, pool, told)
        # A worker that hangs would keep the writer of the store from ending.
        stack.callback(pool.close)
        evidence = resources.open_evidence()
        aggregator = resources.aggregator(pool, evidence, show_view)
        with signal_handlers(aggregator):
            if was_hung_up():
                signal.raise_signal(signal.SIGHUP)
            aggregator.run()
    statistics = pool.statistics()
    if not options.reads_logs:
        statistics.files = len(options.interfaces)
    aggregator.updates.config.geo.note_damaged(statistics.anomalies)
    statistics.anomalies.update(aggregator.incidents.anomalies)
    return RunResult(
        config=aggregator.updates.config,
        statistics=statistics,
        incidents=aggregator.incidents,
        coverage=pool.coverage().report(
            statistics.packets, statistics.anomalies, statistics.without_verdict
        ),
        evidence=evidence,
        losses=Losses(
            packets=pool.dropped,
            ring_freezes=pool.ring_freezes,
            findings=pool.findings_lost,
            records=aggregator.alerts.output.discarded,
            unwritten=aggregator.alerts.output.unwritten,
            alerts=resources.alerts_lost,
            unrecorded=statistics.unrecorded_packets if store is not None else None,
            unstored=store.missing if store is not None else 0,
        ),
        seconds=time.monotonic() - started,
        reader_gone=aggregator.alerts.reader_gone,
        error=aggregator.receiver.worker_error or aggregator.stop_problem or None,
    )


def _open_sources(options: LiveOptions, config: Config) -> list[SourceOpener] | list[LogOpener]:
    """Steps 1 to 3: import all modules, open the interfaces and drop the privileges."""
    prepare(config)
    if is_sensor(config):
        require_fleet(config.path or "netwatch.yaml")
        preload_fleet()
    preload(options.format, outputs_of(config), from_file=not options.live)
    if options.reads_logs:
        preload_logs()
    if config.store is not None:
        require_extra(config.path or "netwatch.yaml")
        preload_store(config.store)
    sources: list[SourceOpener] | list[LogOpener]
    if options.reads_logs:
        sources = [log_opener(options.interfaces, options.logs)]
    else:
        sources = source_openers(
            options.source, options.interfaces, options.fanout, options.source_options
        )
        if options.live:
            privileges.raise_priority()
    if options.user:
        # Logs belong to groups such as adm, of which the user has to be a member.
        privileges.drop_privileges(options.user, keep_groups=options.reads_logs)
    if options.output is None and sys.stdout is None:
        raise NetwatchError("standard output is closed; -o writes the records to a file")
    # Each worker would write what is in the buffers now once more.
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    return sources
