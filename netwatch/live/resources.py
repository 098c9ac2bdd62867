"""Parts of a live capture with threads, files or locks: state file, records, outputs, store, the
link to a centre, metrics endpoint and view. All are opened once the workers are forked, except the
process of the store's writer, and closed in reverse order."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from netwatch.config import Config
from netwatch.core.text import quantity
from netwatch.delivery.delivery import Delivery
from netwatch.fleet import is_sensor, outputs_of
from netwatch.incidents.evidence_folder import EvidenceFolder
from netwatch.live.aggregator import Aggregator, Parts
from netwatch.live.config_update import Reloader, UpdateChecker
from netwatch.live.display import MessageStream
from netwatch.live.events import AlertSent, Event, Listener, Note, Reloaded, ReloadRefused
from netwatch.live.record_output import RecordOutput
from netwatch.live.service import ServiceManager, Stopping
from netwatch.live.snapshots import Snapshots
from netwatch.live.source_openers import LiveOptions
from netwatch.live.state_file import StateFile, state_path
from netwatch.live.worker_pool import WorkerPool
from netwatch.watch.endpoint import Endpoint
from netwatch.watch.endpoint_options import EndpointOptions
from netwatch.watch.health import Thresholds
from netwatch.watch.snapshot import FleetStatus, StoreStatus, TakeSnapshot

if TYPE_CHECKING:
    from netwatch.engine.live_facts import Destination
    from netwatch.fleet.link import Link
    from netwatch.fleet.published_feed import PublishedSettings
    from netwatch.live.live_store import LiveStore

FINAL_WRITE_TIMEOUT = 5.0
"""Seconds that the reader of the records has at the end to accept the next piece."""

DRAIN_TIMEOUT = 10.0
"""Seconds that outputs have at the end; alerts not delivered by then stay in the outbox."""

ShowView = Callable[[TakeSnapshot, Thresholds], AbstractContextManager[object]]
"""Shows the view of a capture for as long as the context lasts."""


def _nothing() -> None:
    """There is no store."""


class Resources:
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
        self._manager = ServiceManager()
        self.stopping = Stopping(self._manager, listener)

    def aggregator(
        self, pool: WorkerPool, evidence: EvidenceFolder | None, show_view: ShowView | None
    ) -> Aggregator:
        """The aggregator with everything that it needs."""
        options, config = self._options, self._config
        state_file = self._open_state_file()
        output = RecordOutput(options.format, options.output, sys.stdout, self._warn)
        self._stack.callback(output.close, FINAL_WRITE_TIMEOUT)
        delivery = self._start_delivery()
        if self._store is not None and not is_sensor(config):
            # Of what a sensor reports, its centre tells the outputs.
            self._store.print = output.write_notice
            self._store.deliver = None if delivery is None else delivery.put
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
            service_manager=self._manager,
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
            reads_logs=options.reads_logs,
            user=options.user or "",
            stopping=self.stopping,
            capture_ended=_nothing if store is None else store.expect_end,
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
            from netwatch.fleet.published_feed import PublishedSettings

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
        """Where facts go; None if they are not kept."""
        config = self._config
        if is_sensor(config):
            from netwatch.fleet.fact_writer import spool_destination

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
        """Refused publications of the centre are offered again when local files have changed."""
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
        """The folder of evidence captures, if wanted."""
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
        self.stopping.progress("delivering alerts")
        left = delivery.drain(DRAIN_TIMEOUT)
        for name, queued in left.queued.items():
            if queued:
                verb = "stays" if queued == 1 else "stay"
                self._warn(
                    f"output {name}: {quantity(queued, 'alert')} {verb} in the outbox"
                    " until the next start"
                )
        if left.unread:
            self._warn(f"alerts may be left in the outbox: it could not be read: {left.unread}")

    @property
    def alerts_lost(self) -> int:
        """Alerts that are not in the outbox; while the capture runs, they may still get there."""
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
            configured = EndpointOptions(self._options.metrics, thresholds, hosts)
        if configured is not None:
            self._stack.enter_context(Endpoint.of_capture(configured, take_snapshot))
        if show_view is not None:
            self._stack.enter_context(show_view(take_snapshot, thresholds))

    def _warn(self, text: str) -> None:
        self._listener(Note(text))
