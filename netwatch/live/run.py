"""Starts a live capture in the only order that is safe, and ends it.

1. Read the configuration, since its mistakes cost nothing yet, and import all modules.
2. Open the interfaces, while the process has the privileges to do so.
3. Drop the privileges.
4. Fork the workers, while no thread runs.
5. Open what has threads, files and locks: state file, records, outputs, metrics, view.
"""

import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from netwatch.capture import privileges
from netwatch.config import Config, load
from netwatch.core.dataclass import dataclass
from netwatch.core.errors import NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.core.text import quantity
from netwatch.coverage.counts import CoverageReport
from netwatch.delivery.delivery import Delivery
from netwatch.fleet.sensor import is_sensor, outputs_of, require_fleet
from netwatch.incidents.evidence_folder import EvidenceFolder
from netwatch.live.aggregator import Aggregator, Parts
from netwatch.live.events import AlertSent, Event, Listener, Note, Reloaded, ReloadRefused
from netwatch.live.message_stream import MessageStream
from netwatch.live.messages import WorkerOptions
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.preload import preload, preload_fleet, preload_store
from netwatch.live.record_output import RecordOutput
from netwatch.live.reload import Reloader
from netwatch.live.sd_notify import ServiceManager
from netwatch.live.signals import hang_ups_noted, signal_handlers
from netwatch.live.snapshots import Snapshots
from netwatch.live.source_openers import FILE, SourceOpener, source_openers
from netwatch.live.state_file import StateFile, state_path
from netwatch.live.update_checker import UpdateChecker, prepare
from netwatch.live.worker_pool import WorkerPool
from netwatch.store.extra import require_extra
from netwatch.watch.endpoint import Endpoint
from netwatch.watch.endpoint_options import EndpointOptions
from netwatch.watch.health import Thresholds
from netwatch.watch.snapshot import FleetStatus, StoreStatus, TakeSnapshot

if TYPE_CHECKING:
    from netwatch.engine.live_facts import Destination
    from netwatch.fleet.link import Link
    from netwatch.fleet.published_settings import PublishedSettings
    from netwatch.live.live_store import LiveStore

FINAL_WRITE_TIMEOUT = 5.0
"""Seconds that the reader of the records has at the end to accept the next piece."""

DRAIN_TIMEOUT = 10.0
"""Seconds that outputs have at the end; alerts not delivered by then stay in the outbox."""

ShowView = Callable[[TakeSnapshot, Thresholds], AbstractContextManager[object]]
"""Shows the view of a capture for as long as the context lasts."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """The options of ``netwatch live``.

    `source` is a name of `netwatch.live.source_openers.SOURCE_NAMES`, `source_options` are
    passed to it. `config` is the path of the configuration, `output` that of the records;
    None is where `netwatch.config.load` looks, and standard output. `metrics` (host and
    port) overrides the address in the configuration.
    """

    interfaces: tuple[str, ...]
    source: str
    config: str | None = None
    fanout: int = 1
    source_options: Mapping[str, Any] = field(default_factory=dict)
    user: str | None = None
    format: str = "table"
    output: str | None = None
    state: str | None = None
    evidence: str | None = None
    metrics: tuple[str, int] | None = None

    @property
    def live(self) -> bool:
        """Whether packets are captured from interfaces, not read from a file."""
        return self.source != FILE


@dataclass(frozen=True, slots=True)
class Losses:
    """What a capture lost: packets that the kernel dropped, how often a ring was full, and
    findings and records that were discarded because their queues were full. `unwritten` are
    bytes of further records, and `alerts` are alerts for outputs, that could not be written until
    the end."""

    packets: int
    ring_freezes: int
    findings: int
    records: int
    unwritten: int
    alerts: int


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a capture. `reader_gone` says that the reader of the records went away;
    `error` is the reason why a worker failed."""

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
    where something cannot be opened."""
    started = time.monotonic()
    with ExitStack() as stack:
        was_hung_up = stack.enter_context(hang_ups_noted())
        config = load(options.config)
        sources = _open_sources(options, config)
        resources = _Resources(options, config, listener, messages, stack)
        store = resources.start_store()
        worker_options = WorkerOptions(
            live=options.live,
            keep_frames=options.evidence is not None,
            recording=store.recording if store is not None else None,
        )
        pool = WorkerPool(sources, config, worker_options)
        stack.callback(pool.close)
        if store is not None:
            store.begin()
            stack.callback(store.end, pool)
        evidence = resources.open_evidence()
        aggregator = resources.aggregator(pool, evidence, show_view)
        with signal_handlers(aggregator):
            if was_hung_up():
                signal.raise_signal(signal.SIGHUP)
            aggregator.run()
    statistics = pool.statistics()
    statistics.files = len(options.interfaces)
    aggregator.updates.config.geo.note_damaged(statistics.anomalies)
    return RunResult(
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
        ),
        seconds=time.monotonic() - started,
        reader_gone=aggregator.alerts.reader_gone,
        error=aggregator.receiver.worker_error,
    )


def _open_sources(options: LiveOptions, config: Config) -> list[SourceOpener]:
    """Steps 1 to 3: import all modules, open the interfaces and drop the privileges."""
    prepare(config)
    if is_sensor(config):
        require_fleet(config.path or "netwatch.yaml")
        preload_fleet()
    preload(options.format, outputs_of(config), from_file=not options.live)
    if config.store is not None:
        require_extra(config.path or "netwatch.yaml")
        preload_store(config.store)
    sources = source_openers(
        options.source, options.interfaces, options.fanout, options.source_options
    )
    if options.live:
        privileges.raise_priority()
    if options.user:
        privileges.drop_privileges(options.user)
    if options.output is None and sys.stdout is None:
        raise NetwatchError("standard output is closed; -o writes the records to a file")
    # Each worker would write what is in the buffers now once more.
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    return sources


class _Resources:
    """Opens what has threads, files and locks, and has `stack` close it in reverse order."""

    def __init__(
        self,
        options: LiveOptions,
        config: Config,
        listener: Listener,
        messages: MessageStream,
        stack: ExitStack,
    ) -> None:
        self._options = options
        self._config = config
        self._listener = listener
        self._messages = messages
        self._stack = stack
        self._delivery: Delivery | None = None
        self._store: LiveStore | None = None
        self._link: Link | None = None
        self._published: PublishedSettings | None = None

    def aggregator(
        self, pool: WorkerPool, evidence: EvidenceFolder | None, show_view: ShowView | None
    ) -> Aggregator:
        """The aggregator with all that it needs."""
        options, config = self._options, self._config
        state_file = self._open_state_file()
        output = RecordOutput(options.format, options.output, sys.stdout, self._warn)
        self._stack.callback(output.close, FINAL_WRITE_TIMEOUT)
        delivery = self._start_delivery()
        link = self._link
        checker = UpdateChecker(
            options.config,
            lambda: aggregator.updates.config,
            reload=lambda: aggregator.reload(),
            emit=self._listener,
        )
        store = self._store
        snapshots = Snapshots(
            options.interfaces,
            delivery,
            evidence,
            self._messages,
            checker.status,
            store.status if store is not None else StoreStatus,
            self._fleet_status if link is not None else FleetStatus,
        )
        if link is not None:
            link.watch(snapshots.last)
            link.start()
        self._start_monitoring(snapshots.last, show_view)
        parts = Parts(
            pool=pool,
            reloader=Reloader(options.config, config),
            output=output,
            service_manager=ServiceManager(),
            state_file=state_file,
            delivery=delivery,
            evidence=evidence,
            listeners=(
                self._listener,
                snapshots,
                *self._store_listeners(lambda: aggregator),
                *self._fleet_listeners(),
            ),
            watchers=(*self._store_watchers(), snapshots.take, *self._status_watchers(snapshots)),
        )
        aggregator = Aggregator(parts, config, options.interfaces, live=options.live)
        if config.updates is not None:
            self._stack.callback(checker.stop)
            checker.start()
        return aggregator

    def start_store(self) -> "LiveStore | None":
        """Start the writer of the store, or of the spool of a sensor, if the configuration has
        one."""
        destination = self._destination()
        if destination is None:
            return None
        if is_sensor(self._config):
            from netwatch.fleet.link import Link
            from netwatch.fleet.published_settings import PublishedSettings

            self._published = published = PublishedSettings(
                self._config, self._options.config, self._warn
            )
            self._link = Link(self._config, self._warn, [published.run], published.health)
            # It stops after the writer, which has the last facts.
            self._stack.callback(self._link.stop)
        from netwatch.live.live_store import LiveStore

        self._store = LiveStore(destination, self._config, self._warn)
        self._stack.callback(self._store.close)
        return self._store

    def _destination(self) -> "Destination | None":
        """Where facts go; None where they are not kept."""
        config = self._config
        if is_sensor(config):
            from netwatch.fleet.fact_destination import spool_destination

            return spool_destination(config)
        if config.store is None:
            return None
        from netwatch.engine.live_facts import store_destination

        return store_destination(config.store, config)

    def _store_listeners(self, aggregator: Callable[[], Aggregator]) -> list[Listener]:
        store = self._store
        if store is None:
            return []

        def keep(event: Event) -> None:
            if isinstance(event, AlertSent):
                store.alert(event.alert)
            elif isinstance(event, Reloaded):
                store.reconfigured(aggregator().updates.config)

        return [keep]

    def _fleet_listeners(self) -> list[Listener]:
        """What was refused of the centre is offered again when local files have changed."""
        published = self._published
        if published is None:
            return []

        def retry(event: Event) -> None:
            if isinstance(event, (Reloaded, ReloadRefused)):
                published.retry()

        return [retry]

    def _fleet_status(self) -> FleetStatus:
        """The link to the centre, and what it published."""
        assert self._link is not None
        assert self._published is not None
        return replace(self._link.status(), published=self._published.status())

    def _store_watchers(self) -> list[Callable[[Aggregator], None]]:
        store = self._store
        return [] if store is None else [lambda aggregator: store.look_at(aggregator.pool)]

    def _status_watchers(self, snapshots: Snapshots) -> list[Callable[[Aggregator], None]]:
        store = self._store
        return [] if store is None else [lambda _: store.report_status(snapshots.last())]

    def open_evidence(self) -> EvidenceFolder | None:
        """The folder of evidence captures, if one is wanted."""
        if self._options.evidence is None:
            return None
        evidence = EvidenceFolder(self._options.evidence, self._warn, resuming=True)
        self._stack.callback(evidence.close)
        return evidence

    def _open_state_file(self) -> StateFile | None:
        path = state_path(self._options.state)
        if path is not None:
            state_file = StateFile(path, self._warn)
            self._stack.callback(state_file.close)
            return state_file
        if self._options.live:
            text = "no --state: after a crash, open incidents will be reported again as new"
            self._listener(Note(text, warning=False))
        return None

    def _start_delivery(self) -> Delivery | None:
        outputs = outputs_of(self._config)
        if not outputs:
            return None
        delivery = Delivery(outputs, self._config.outbox, self._warn)
        delivery.start()
        self._delivery = delivery
        self._stack.callback(self._report_lost_alerts)
        self._stack.callback(delivery.stop)
        self._stack.callback(self._drain, delivery)
        return delivery

    def _drain(self, delivery: Delivery) -> None:
        left = delivery.drain(DRAIN_TIMEOUT)
        for name, queued in left.queued.items():
            if queued:
                verb = "stays" if queued == 1 else "stay"
                self._warn(
                    f"output {name}: {quantity(queued, 'alert')} {verb} in the outbox"
                    " until the next start"
                )

    @property
    def alerts_lost(self) -> int:
        """Alerts that are not in the outbox; while the capture runs, they may get there yet."""
        return self._delivery.unwritten + self._delivery.lost if self._delivery else 0

    def _report_lost_alerts(self) -> None:
        if self._delivery is not None and self.alerts_lost:
            problem = self._delivery.problem
            reason = f" ({problem})" if problem else ""
            lost = quantity(self.alerts_lost, "alert")
            self._warn(f"{lost} lost: the outbox could not be written{reason}")

    def _start_monitoring(self, take_snapshot: TakeSnapshot, show_view: ShowView | None) -> None:
        """Start the metrics endpoint and the view, where they are wanted."""
        configured = self._config.metrics
        thresholds = configured.thresholds if configured is not None else Thresholds()
        if self._options.metrics is not None:
            hosts = configured.hosts if configured is not None else ()
            configured = EndpointOptions(*self._options.metrics, thresholds, hosts)
        if configured is not None:
            self._stack.enter_context(Endpoint.of_capture(configured, take_snapshot))
        if show_view is not None:
            self._stack.enter_context(show_view(take_snapshot, thresholds))

    def _warn(self, text: str) -> None:
        self._listener(Note(text))
