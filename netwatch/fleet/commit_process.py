"""Processes in which a centre commits what sensors send.

One interpreter uses one core at a time, so a centre that committed in its threads would have one
core for everything. A committing process has its own interpreter and its own connection to the
catalogue. It is started when there is work for it, and ends with the centre. If it is killed, for
example for lack of memory, another one takes its place and gets the same messages: committing twice
has the same result as once.

The alerts of sensors are committed with the cases that they belong to. Messages are read first
(`AlertCommits.prepare`), then stored in transactions of bounded length (`store`), between which
others can write to the catalogue. An alert that is sent again repeats what is already stored, so
storing it twice has the same result as once.
"""

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from netwatch.core.errors import NetwatchError
from netwatch.core.system.kernel import usable_cpus
from netwatch.core.system.workers import ENDINGS, DiedError, WorkerProcess, serve
from netwatch.fleet.border import CLOCK_SLACK, UNLIMITED, BorderError, Outside, SensorLimits, text
from netwatch.fleet.envelope import Envelope, EnvelopeError
from netwatch.fleet.sensor_records import BadAlertError, read_record, stored_alert
from netwatch.formats.values import epoch_ns
from netwatch.store.cases import SensorAlert, keep_alerts
from netwatch.store.opening import UseLock, open_catalogue
from netwatch.store.options import StoreOptions

MAX_PROCESSES = 4
"""Processes that commit alerts, and processes that commit facts."""

CLOSE_SECONDS = 20.0
"""Seconds that processes have at the end for their current work. Then they are killed: what is not
committed comes again."""

P = ParamSpec("P")
C = TypeVar("C")
T = TypeVar("T")


def process_count() -> int:
    """How many processes commit facts, and how many commit alerts if the catalogue has several
    writers: half as many as there are CPUs, less one, since others have work too; at least one and
    at most `MAX_PROCESSES`."""
    return max(1, min(MAX_PROCESSES, usable_cpus() // 2 - 1))


class KilledError(NetwatchError):
    """The process was killed while it worked: for lack of memory, or by its input."""


class CommitProcess(Generic[C]):
    """A process with a committer, which `open_commits` opens there, so it must be picklable. `name`
    describes what it commits."""

    def __init__(self, name: str, open_commits: Callable[[], C]) -> None:
        self._name = name
        self._open = open_commits
        # Calls wait for their turn, and for their answers, in a thread.
        self._turns = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._process: WorkerProcess | None = None

    async def run(
        self, method: Callable[Concatenate[C, P], T], *arguments: P.args, **keywords: P.kwargs
    ) -> T:
        """The result of a method there. Calls run one after the other. Raises what opening and the
        method raise, and `KilledError` if the process was killed meanwhile."""
        call = method, arguments, keywords
        loop = asyncio.get_running_loop()
        result: T = await loop.run_in_executor(self._turns, self._answer, call)
        return result

    def _answer(self, call: object) -> Any:
        if self._process is None:
            # This process has threads: a fork would copy the locks but not the threads.
            self._process = WorkerProcess(
                partial(_commit, gc.get_threshold()),
                is_forked=False,
                ignored=ENDINGS,
                dies_with_this=True,
            )
            # The arguments of a process must fit into a pipe. Otherwise this one would wait until
            # that one reads; and if this one was killed meanwhile, that one would print a
            # traceback.
            with suppress(OSError):
                self._process.send(self._open)
        try:
            return self._process.ask(call)
        except DiedError:
            self._process = None
            raise KilledError(f"the process that commits {self._name} was killed") from None

    def close(self, deadline: float | None = None) -> None:
        """End the process when it has done its current work, or at a deadline (monotonic)."""
        self.stop()
        if deadline is None:
            deadline = time.monotonic() + CLOSE_SECONDS
        process = self._process
        if process is None:
            return
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), process.kill)
        timer.start()
        self._turns.shutdown()
        timer.cancel()
        process.end(deadline - time.monotonic())

    def stop(self) -> None:
        """Give the process no more work, so that it ends."""
        self._turns.shutdown(wait=False, cancel_futures=True)


def close_processes(processes: Sequence[CommitProcess[Any]]) -> None:
    """End processes, all at the same time."""
    deadline = time.monotonic() + CLOSE_SECONDS
    for process in processes:
        process.stop()
    for process in processes:
        process.close(deadline)


def _commit(threshold: tuple[int, int, int], connection: Connection) -> None:
    """The work of such a process."""
    gc.set_threshold(*threshold)
    try:
        open_commits = connection.recv()
    except (EOFError, OSError):
        return  # The centre was killed.
    commits = None

    def answer(call: tuple[Callable[..., object], tuple[object, ...], dict[str, object]]) -> object:
        nonlocal commits
        method, arguments, keywords = call
        commits = open_commits() if commits is None else commits
        return method(commits, *arguments, **keywords)

    serve(answer, connection)


MAX_ALERTS = 5000
"""Alerts of one message."""

TRANSACTION, TRANSACTION_BESIDE = 2000, 400
"""Alerts to store in one transaction, and the same if several processes store alerts: those lock
some words of each, for which the server has limited room."""

MAX_REASON = 200
"""Characters of the reason why an alert is refused."""

_MAX_KEY = 200


@dataclass(slots=True)
class AlertsCommitted:
    """The result of a commit: by sensor, the keys of stored alerts, and of `refused` ones with the
    reasons; which messages are `spoiled` by a refused part, with the reason; how many alerts had
    something new; by sensor, its reports on what is not its own."""

    stored: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, dict[str, str]] = field(default_factory=dict)
    spoiled: dict[int, str] = field(default_factory=dict)
    new: int = 0
    outside: dict[str, Outside] = field(default_factory=dict)


class AlertCommits:
    """Stores alerts. `gap` is the quiet gap of incidents in ns; `limits` are what sensors may
    report on; `beside_others` means that other processes store those of other sensors. For one
    thread at a time. Raises `ConfigError` and `NetwatchError` if the store cannot be opened."""

    def __init__(
        self,
        options: StoreOptions,
        gap: int,
        limits: SensorLimits = UNLIMITED,
        *,
        beside_others: bool = False,
    ) -> None:
        self._limits = limits
        self._catalogue = open_catalogue(options, create=True)
        self._catalogue.database.expect_many_rows()
        self._lock = UseLock(options)
        self._gap = gap
        self._beside_others = beside_others
        self._size = TRANSACTION_BESIDE if beside_others else TRANSACTION
        self._result = AlertsCommitted()
        self._alerts: list[tuple[str, SensorAlert]] | None = None
        self._from: dict[tuple[str, str], int] = {}

    def close(self) -> None:
        """Close the catalogue."""
        self._lock.close()
        self._catalogue.close()

    def prepare(self, envelopes: Sequence[Envelope], offsets: Mapping[str, int]) -> None:
        """Read the alerts of messages to store; `offsets` are how far the clocks of sensors are
        ahead (ns). Invalid alerts are refused."""
        self._alerts = None
        self._result = result = AlertsCommitted()
        alerts: list[tuple[str, SensorAlert]] = []
        self._from.clear()
        now = time.time_ns()
        for position, envelope in enumerate(envelopes):
            sensor = envelope.sensor
            try:
                entries = _entries(envelope)
            except BorderError as error:
                result.spoiled[position] = str(error)
                continue
            for key, record in entries:
                self._from[sensor, key] = position
                try:
                    alerts.append((key, self._read(sensor, record, offsets.get(sensor, 0), now)))
                except BadAlertError as error:
                    self._refuse(sensor, key, str(error))
        self._alerts = alerts

    def _read(self, sensor: str, record: Any, offset: int, now: int) -> SensorAlert:
        """The alert in a record that came at `now` (ns). Raises `BadAlertError` for anything else,
        and if it comes from another sensor."""
        said = record.get("sensor") if isinstance(record, dict) else None
        if not isinstance(said, dict) or said.get("name") != sensor:
            raise BadAlertError(f"an alert that is not one of the sensor {sensor}")
        alert = read_record(sensor, record, offset)
        if epoch_ns(alert.record["last_seen"]) > now + CLOCK_SLACK:
            raise BadAlertError("last_seen is in the future")
        found = self._limits.marked(sensor, alert.record)
        if found is None:
            return alert
        marked, outside = found
        stored = stored_alert(sensor, marked, offset)
        if outside:
            noted = self._result.outside.setdefault(sensor, Outside())
            noted.networks |= outside.networks
            noted.devices |= outside.devices
        return stored

    def _refuse(self, sensor: str, key: str, reason: str) -> None:
        self._result.refused.setdefault(sensor, {})[key] = reason[:MAX_REASON]
        self._result.spoiled.setdefault(self._from[sensor, key], reason[:MAX_REASON])

    def store(self) -> AlertsCommitted | None:
        """Store the next prepared alerts; returns the result once all are stored. Raises
        `NetwatchError`; then some may be stored, and preparing and storing all again is right."""
        if self._alerts is None:
            raise NetwatchError("nothing is prepared: another process had begun")
        self._store(self._alerts[: self._size], self._result)
        del self._alerts[: self._size]
        if self._alerts:
            return None
        self._alerts = None
        return self._result

    def _store(self, alerts: Sequence[tuple[str, SensorAlert]], result: AlertsCommitted) -> None:
        """Store alerts, and find those that cannot be stored by bisection."""
        if not alerts:
            return
        try:
            result.new += keep_alerts(
                self._catalogue,
                [alert for _, alert in alerts],
                self._gap,
                beside_others=self._beside_others,
            )
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if len(alerts) == 1:
                key, alert = alerts[0]
                reason = f"the record is not an alert: {type(error).__name__}: {error}"
                self._refuse(alert.sensor, key, reason)
                return
            half = len(alerts) // 2
            self._store(alerts[:half], result)
            self._store(alerts[half:], result)
            return
        for key, alert in alerts:
            result.stored.setdefault(alert.sensor, []).append(key)


def _entries(envelope: Envelope) -> list[tuple[str, Any]]:
    """The alerts of a message with their keys; empty for one without a key. Raises `EnvelopeError`
    for invalid content."""
    body = envelope.value()
    entries = body.get("alerts") if isinstance(body, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_ALERTS:
        raise EnvelopeError(f"the content has no list of at most {MAX_ALERTS:,} alerts")
    found = []
    for entry in entries:
        try:
            key = text(entry.get("key") if isinstance(entry, dict) else None, _MAX_KEY)
        except BorderError:
            raise EnvelopeError("the content has an alert without a key") from None
        found.append((key, entry.get("record")))
    return found
