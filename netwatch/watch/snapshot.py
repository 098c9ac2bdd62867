"""The state of a running capture at one time, as plain frozen values, and how fast its counters
rise.

The capture fills a `Snapshot` from its counters; the metrics, the health check and the view on a
terminal read nothing else. Counters run from the start of the process and never fall. Times are
wall-clock times in seconds since the epoch, so that they can be compared with the time of the
snapshot; packet times occur only inside alerts.

Snapshots are taken on demand, not at fixed times. A rate is computed between the newest snapshot
and the oldest one within the last seconds, so that it neither flickers nor lags. The history is
bounded by time and by number.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from netwatch.core.alert import Alert, Judgement

RECENT = 64
"""The most recently reported incidents in a snapshot."""

TOP = 64
"""The apps, and the devices, with most contacts in a snapshot."""


MESSAGES = 16
"""The most recent messages in a snapshot."""

WINDOW = 3.0
"""Seconds over which a rate is computed."""

TREND = 120
"""Packet rates that are remembered, one per second: the last two minutes."""


@dataclass(frozen=True, slots=True)
class TableUsage:
    """How full a bounded table is. `evicted` counts the entries that were removed because the
    table was full or because they were too old."""

    entries: int
    limit: int
    evicted: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """A queue in memory between two parts of the capture: bytes in it now, and how many items were
    discarded because it was full."""

    bytes_queued: int = 0
    discarded: int = 0


@dataclass(frozen=True, slots=True)
class OutputQueue:
    """The delivery to one output.

    `waiting` alerts are not delivered yet; `oldest` is when the oldest of them was queued, None if
    there is none. `delivered` alerts, `failed` attempts and `lost` alerts (finally refused by the
    receiver, or evicted from a full outbox) are counters.
    """

    waiting: int
    oldest: float | None = None
    delivered: int = 0
    failed: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class OutboxBacklog:
    """Alerts that are not in the outbox: why it cannot store them now (empty if it can), how many
    wait in memory, and how many were lost because there were too many."""

    problem: str = ""
    waiting: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class EvidenceFiles:
    """The evidence captures of incidents: files and bytes written, and what was left out because of
    limits, by reason. `problem` is why captures cannot be written now, empty if they can."""

    files: int = 0
    bytes_written: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class UpdateStatus:
    """The installed set and the checks for a newer one.

    `version` and `expires` (a time) are None if no set is in use. `interval` is the time between
    two checks in s, 0 if there are none; `last_check` is the time of the last success. `failures`
    counts failed checks; `problem` is why the last one failed, empty if it succeeded. `held` names
    a newer set that is held back, empty if none is; `held_devices` is how many devices it would
    have accused.
    """

    version: int | None = None
    expires: float | None = None
    interval: float = 0.0
    last_check: float | None = None
    failures: int = 0
    problem: str = ""
    held_devices: int = 0
    held: str = ""


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """The state of a capture's store.

    `rows` of facts are stored. `lost` ones did not fit into a queue or were in memory when the
    writer died, and `skipped` packets were not processed for the store, because the capture lagged.
    `decisions_lost` are records of incidents and coverage. `restarts` counts writers that were
    started because one had died. `problem` is why nothing can be written now, empty if it can.
    `bypasses` are days of devices that hid their lookups, of which the outputs were told.
    """

    rows: int = 0
    lost: int = 0
    skipped: int = 0
    decisions_lost: int = 0
    restarts: int = 0
    problem: str = ""
    bypasses: int = 0

    @property
    def all_lost(self) -> int:
        """Everything that the store does not have, in mixed units."""
        return self.lost + self.skipped + self.decisions_lost


@dataclass(frozen=True, slots=True)
class PublishedStatus:
    """What the centre has published to a sensor: the versions in use by kind (``set``,
    ``configuration``), how many bundles were `refused`, by the kind of reason, and sentences on
    those that are refused now."""

    versions: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """The link of a sensor to its centre.

    `connected` is None if this is not a sensor of a fleet. `problem` says what is wrong, empty if
    nothing is; `since` is when the link broke, None while it is up, and if it is refused. `waiting`
    files and `waiting_bytes` of facts are not committed yet; `committed` and `evicted` count rows.
    `offset` is how far the clock is ahead of the centre's, in s.
    """

    connected: bool | None = None
    problem: str = ""
    since: float | None = None
    waiting: int = 0
    waiting_bytes: int = 0
    committed: int = 0
    evicted: int = 0
    offset: float | None = None
    published: PublishedStatus = field(default_factory=PublishedStatus)


@dataclass(frozen=True, slots=True)
class Message:
    """A line of the log for the view, and when it was logged."""

    time: float
    text: str


@dataclass(frozen=True, slots=True)
class ContactCount:
    """An app or a device with the number of its contacts and of its incidents."""

    name: str
    contacts: int
    incidents: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A running capture at one time.

    `now`, `started`, `last_packet`, `last_drop` (when `dropped` last rose), `last_loss` (when the
    store last lost something) and `last_reload` are times, None for never. `dropped` counts packets
    that the kernel dropped, `ring_freezes` how often its ring was full. `interfaces_down` names
    those of the `interfaces` that deliver nothing now, `interface_events` counts their changes.
    `clock_steps` counts how often the clock of the packets was set, `state_failures` how often the
    state file could not be written.

    `without_verdict` counts contacts to which no ban applies, by the reason. `flows` counts ended
    flows by how they were read (`netwatch.coverage.flow_visibility`). `incidents` counts the
    reported incidents by verdict, `judged` the ended ones by kind and outcome, `open_incidents` the
    open ones. `records_problem` is why records cannot be written now, empty if they can;
    `reload_error` has the errors in the configuration that was refused, one per line, empty if the
    last reload was applied. `messages` are the last warnings and reloads, newest last. `recent` has
    the last alert of each of the most recently reported incidents, newest first; `apps` and
    `devices` those with most contacts.

    For logs, `records` counts the records that were read, `unread_records` those that could not be
    read, by reason, and `log_events` events of files and of connections that bring records, by
    name. `log_lag` is the age of the last record that was read if there are more to read, in s,
    else 0; None if no logs are read. `logs_unreadable` has the logs that cannot be read now, and
    why.
    """

    now: float
    started: float
    version: str
    interfaces: tuple[str, ...] = ()
    interfaces_down: tuple[str, ...] = ()
    signatures: str = ""
    compiled: bool = True
    packets: int = 0
    wire_bytes: int = 0
    records: int = 0
    unread_records: Mapping[str, int] = field(default_factory=dict)
    log_events: Mapping[str, int] = field(default_factory=dict)
    log_lag: float | None = None
    logs_unreadable: Mapping[str, str] = field(default_factory=dict)
    candidates: int = 0
    dropped: int = 0
    ring_freezes: int = 0
    interface_events: Mapping[str, int] = field(default_factory=dict)
    clock_steps: int = 0
    state_failures: int = 0
    last_packet: float | None = None
    last_drop: float | None = None
    last_loss: float | None = None
    reloads: int = 0
    refused_reloads: int = 0
    last_reload: float | None = None
    observations: Mapping[str, int] = field(default_factory=dict)
    anomalies: Mapping[str, int] = field(default_factory=dict)
    without_verdict: Mapping[str, int] = field(default_factory=dict)
    flows: Mapping[str, int] = field(default_factory=dict)
    incidents: Mapping[str, int] = field(default_factory=dict)
    judged: Mapping[Judgement, int] = field(default_factory=dict)
    open_incidents: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, TableUsage] = field(default_factory=dict)
    backlogs: Mapping[str, Backlog] = field(default_factory=dict)
    outputs: Mapping[str, OutputQueue] = field(default_factory=dict)
    outbox: OutboxBacklog = field(default_factory=OutboxBacklog)
    evidence: EvidenceFiles = field(default_factory=EvidenceFiles)
    updates: UpdateStatus = field(default_factory=UpdateStatus)
    store: StoreStatus = field(default_factory=StoreStatus)
    fleet: FleetStatus = field(default_factory=FleetStatus)
    records_problem: str = ""
    reload_error: str = ""
    messages: tuple[Message, ...] = ()
    recent: tuple[Alert, ...] = ()
    apps: tuple[ContactCount, ...] = ()
    devices: tuple[ContactCount, ...] = ()


TakeSnapshot = Callable[[], Snapshot]
"""Returns the current snapshot; can be called from any thread."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Packets, bits, names and dropped packets per second; `trend` has the packets per second
    of the last minutes, oldest first."""

    packets: float = 0.0
    bits: float = 0.0
    names: float = 0.0
    dropped: float = 0.0
    trend: tuple[float, ...] = ()


class History:
    """The counters of the last seconds' snapshots."""

    def __init__(self) -> None:
        # Time, packets, wire_bytes, names and dropped packets of each snapshot.
        self._samples: deque[tuple[float, int, int, int, int]] = deque(maxlen=64)
        self._trend: deque[float] = deque(maxlen=TREND)
        self._trend_sample: tuple[float, int] | None = None

    def add(self, snapshot: Snapshot) -> Rates:
        """Add a snapshot; returns the rates up to it. The history starts again if the clock was set
        back, or if counters fell because another capture has begun."""
        now = snapshot.now
        names = sum(snapshot.observations.values())
        counts = snapshot.packets, snapshot.wire_bytes, names, snapshot.dropped
        if self._samples and (now < self._samples[-1][0] or counts[0] < self._samples[-1][1]):
            self._samples.clear()
            self._trend_sample = None
        self._samples.append((now, *counts))
        while len(self._samples) > 2 and self._samples[0][0] < now - WINDOW:
            self._samples.popleft()
        self._update_trend(now, snapshot.packets)
        since, *earlier = self._samples[0]
        if now <= since:
            return Rates(trend=tuple(self._trend))
        packets, wire_bytes, names_rate, dropped = (
            (new - old) / (now - since) for new, old in zip(counts, earlier, strict=True)
        )
        return Rates(packets, wire_bytes * 8, names_rate, dropped, tuple(self._trend))

    def _update_trend(self, now: float, packets: int) -> None:
        """Add the packet rate since the last call, at most once per second."""
        if self._trend_sample is None:
            self._trend_sample = now, packets
            return
        since, before = self._trend_sample
        if now - since >= 1:
            self._trend.append((packets - before) / (now - since))
            self._trend_sample = now, packets
