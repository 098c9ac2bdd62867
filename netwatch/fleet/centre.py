"""The centre: it runs its server or joins one, and commits what sensors send.

Everything that belongs to a connection starts again when that breaks: stream, consumers and
subscriptions are created or found again, and sensors send what was not committed. So a server that
is killed, or loses its stream, only costs time.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, nullcontext, suppress
from functools import partial
from typing import Any

from netwatch.config import Config
from netwatch.config.fleet_section import FleetOptions
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.delivery.delivery import Delivery
from netwatch.engine.facts_process import known_addresses
from netwatch.engine.judge import HidingApps
from netwatch.engine.live_facts import maintain
from netwatch.fleet.access import (
    HEALTH_BUCKET,
    bucket_subject,
    is_own_reply,
    sender_of,
    subject,
)
from netwatch.fleet.border import SensorLimits
from netwatch.fleet.centre_folder import CentreFolder
from netwatch.fleet.centre_status import CentreMetrics, CentreStatus
from netwatch.fleet.commit_process import (
    AlertCommits,
    CommitProcess,
    close_processes,
    process_count,
)
from netwatch.fleet.connection import Connection, run_together
from netwatch.fleet.consumers import Consumers
from netwatch.fleet.fact_commits import FactCommits
from netwatch.fleet.publications import open_publications
from netwatch.fleet.publisher import Publisher
from netwatch.fleet.receiver import FOLDER, Pace, Receiver, RefusedMessages
from netwatch.fleet.roster_keeper import RosterKeeper, SilenceKeeper
from netwatch.fleet.server import NatsServer, centre_peer, prepare
from netwatch.store.opening import UseLock
from netwatch.store.options import StoreOptions
from netwatch.watch.endpoint import Endpoint

RECONNECT_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds until the next attempt to connect, after one failure, two, and so on."""

START_SECONDS = 5.0
"""Seconds that a server has to start before it is reported that there is no answer."""

ENROL_SECONDS = 1.0
"""Seconds between two looks for sensors that were enrolled or revoked."""

MAX_SIGNS = 20
"""Signs of life and time requests to process per sensor and second."""

MAINTENANCE_SECONDS = 3600.0
"""Seconds between two compactions of the store."""

UNHEARD_SECONDS = 60.0
"""Seconds between two looks for incidents whose sensors have been silent for long."""

DRAIN_SECONDS = 5.0
"""Seconds that outputs have at the end; undelivered alerts stay in the outbox."""

EPOCH_DAYS = 90
"""Days after which an epoch of a spool without news is forgotten."""

Task = Callable[[Connection], Coroutine[Any, Any, None]]
"""A task that runs as long as a connection."""


class Centre:
    """The centre of `config`. `report` takes sentences for the log. `tasks` run alongside the
    others on every connection. Raises `ConfigError` and `NetwatchError` if it cannot be started."""

    def __init__(
        self, config: Config, report: Callable[[str], None], tasks: Sequence[Task] = ()
    ) -> None:
        fleet, store = config.fleet, config.store
        if fleet is None or fleet.server is None:
            raise _missing(config, "'fleet' with 'server' and 'centre', which make this a centre")
        if store is None:
            raise _missing(config, "'store', where a centre keeps what sensors report")
        self.status = CentreStatus()
        self.folder = CentreFolder(fleet)
        self.folder.prepare()
        self.folder.write_configuration()
        self._report = report
        self._tasks = tasks
        self._fleet: FleetOptions = fleet
        self._store: StoreOptions = store
        self._server = None if fleet.server.join else NatsServer(self.folder, report)
        self._pace = Pace(MAX_SIGNS)
        self._began = time.monotonic()
        self._reported = ""
        with ExitStack() as stack:
            self.roster = RosterKeeper(store, self.status)
            stack.callback(self.roster.close)
            stack.enter_context(UseLock(store))
            limits, key = SensorLimits(fleet.sensors), self.folder.flow_key
            self._alerts = _alert_processes(store, config.quiet_gap, limits)
            self._facts = [
                CommitProcess("facts", partial(FactCommits, store, key, HidingApps(config), limits))
                for _ in range(process_count())
            ]
            committing: list[CommitProcess[Any]] = [*self._alerts, *self._facts]
            stack.callback(close_processes, committing)
            self._publisher = Publisher(open_publications(self.folder.path), report)
            self._delivery = delivery = _delivery(config, report, stack)
            self._known = known_addresses(config)
            self._silences = SilenceKeeper(
                self.roster,
                self.status,
                tell=delivery.put if delivery is not None else lambda record: None,
                report=report,
                limit=fleet.server.silence,
            )
            if config.metrics is not None:
                metrics = CentreMetrics(self.status)
                stack.enter_context(Endpoint(config.metrics, metrics, self.status.troubles))
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Close the store; what was not committed is still on the server and the sensors."""
        self._stack.close()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set."""
        works = [stop.wait(), self._serve(), self._look_for_sensors(), self._maintain(),
                 self.roster.run(), self._close_unheard()]  # fmt: skip
        if self._server is not None:
            works.append(self._server.run())
        await run_together(works)

    def reload(self) -> None:
        """Make the server reload its configuration and certificates."""
        if self._server is not None:
            self._server.reload()

    async def _serve(self) -> None:
        """Connect, repeatedly."""
        failures = 0
        while True:
            connection = Connection(centre_peer(self._fleet, self.folder))
            began = time.monotonic()
            try:
                await connection.open()
                await self._run_connection(connection)
                problem = "the connection to the server was lost"
            except* Exception as group:
                problem = _reason(group)
            finally:
                await connection.close()
            self._set_problem(problem)
            failures = 0 if time.monotonic() - began > 10 else failures + 1
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])

    def _set_problem(self, problem: str) -> None:
        """Note why there is no connection. It is reported once, but not while the server starts."""
        self.status.connection_problem = problem
        if time.monotonic() - self._began > START_SECONDS and problem != self._reported:
            self._reported = problem
            self._report(f"no connection to the server: {problem}")

    async def _run_connection(self, connection: Connection) -> None:
        """Work with an open connection until it is closed."""
        client, status = connection.client, self.status
        server = self._fleet.server
        assert server is not None
        await prepare(client.jetstream(timeout=10), server)
        await client.subscribe(subject("*", "clock"), cb=self._tell_time)
        await client.subscribe(bucket_subject(HEALTH_BUCKET, "*"), cb=self._take_health)
        kept = RefusedMessages(self.folder.path / FOLDER)
        receiver = Receiver(status, self.roster, kept, self.folder.is_enrolled)
        # PostgreSQL has many writers at a time.
        turn = nullcontext() if self._store.catalogue else asyncio.Lock()
        consumers = Consumers(client, receiver, status, self._report, turn)
        status.connections += 1
        self._report("connected to the server")
        status.connection_problem = self._reported = ""
        await run_together(
            (
                connection.closed.wait(),
                consumers.run_alerts(self._alerts),
                consumers.run_facts(self._facts),
                consumers.run_applied(self.roster),
                self._publisher.run(client),
                self._silences.run(),
                *(task(connection) for task in self._tasks),
            )
        )
        raise NetwatchError("the connection to the server was lost")

    async def _tell_time(self, message: Any) -> None:
        """Answer a sensor that compares its clock, if only that sensor gets the answer."""
        received = time.time_ns()
        with suppress(ValueError):
            sensor, _ = sender_of(message.subject)
            if not self._pace.allows(sensor):
                self.status.refused[sensor] += 1
                return
            if not is_own_reply(sensor, message.reply):
                self.status.misdirected[sensor] += 1
                return
            answer = {"received": received, "sent": time.time_ns()}
            await message.respond(json.dumps(answer).encode())

    async def _take_health(self, message: Any) -> None:
        sensor = message.subject.rpartition(".")[2]
        with suppress(ValueError):
            sender_of(subject(sensor, "health"))
            if not self._pace.allows(sensor):
                self.status.refused[sensor] += 1
                return
            if not self.folder.is_enrolled(sensor):
                return
            problem = self.roster.heard(sensor, message.data)
            if problem:
                self.status.refused[sensor] += 1
                self.roster.refused(sensor, problem)
            else:
                self._silences.heard(sensor, message.data)

    async def _look_for_sensors(self) -> None:
        """Admit enrolled sensors, and shut out revoked ones."""
        reloads = 0
        while True:
            with suppress(NetwatchError):
                sensors = {sensor.name: sensor.enrolled for sensor in self.folder.sensors()}
                # The server gives a new account its imports with the next reload.
                reloads = 2 if self.folder.write_configuration() else reloads - 1
                if reloads > 0:
                    self.reload()
                for name in sorted(sensors.keys() - self.status.enrolled):
                    self.roster.enrolled(name, sensors[name])
                for name in sorted(self.status.enrolled - sensors.keys()):
                    self.roster.removed(name)
                    self.status.heard.pop(name, None)
                    self._report(f"the credentials of {name} were revoked")
                self.status.enrolled = {*sensors}
            await asyncio.sleep(ENROL_SECONDS)

    async def _maintain(self) -> None:
        """Compact and prune the store now and then, in a thread that nothing waits for."""
        while True:
            await asyncio.sleep(MAINTENANCE_SECONDS)
            before = time.time_ns() - EPOCH_DAYS * 86_400_000_000_000
            try:
                await self._facts[0].run(FactCommits.forget, before)
            except NetwatchError as error:
                self._report(f"old epochs were not forgotten: {error}")
            if not any(thread.name == "maintenance" for thread in threading.enumerate()):
                threading.Thread(
                    target=self._maintain_once, name="maintenance", daemon=True
                ).start()

    async def _close_unheard(self) -> None:
        """Close incidents whose sensors have been silent for long."""
        while True:
            await asyncio.sleep(UNHEARD_SECONDS)
            self.roster.close_unheard(self._store.unheard)

    def _maintain_once(self) -> None:
        try:
            found = maintain(self._store, self._known)
            if found and self._delivery is not None:
                self._delivery.put(*found, once=True)
            self.status.bypasses += len(found)
            self.roster.bypasses_told([each["id"] for each in found])
        except NetwatchError as error:
            self._report(f"compaction: {error}")


def _alert_processes(
    store: StoreOptions, gap: int, limits: SensorLimits
) -> list[CommitProcess[AlertCommits]]:
    """The processes that commit alerts: one if the catalogue has one writer at a time."""
    count = process_count() if store.catalogue else 1
    commits = partial(AlertCommits, store, gap, limits, beside_others=count > 1)
    return [CommitProcess("alerts", commits) for _ in range(count)]


def _delivery(config: Config, report: Callable[[str], None], stack: ExitStack) -> Delivery | None:
    """The outputs of the centre, which report silent sensors; None if there are none."""
    if not config.outputs:
        return None
    delivery = Delivery(config.outputs, config.outbox, report)
    delivery.start()
    stack.callback(delivery.stop)
    stack.callback(delivery.drain, DRAIN_SECONDS)
    return delivery


def _reason(group: BaseExceptionGroup[Exception]) -> str:
    """The first error of a connection, in words."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


def _missing(config: Config, expected: str) -> ConfigError:
    return ConfigError.of(config.path or "netwatch.yaml", f"expected {expected}")
