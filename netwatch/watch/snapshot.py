"""What a running capture looks like at one moment: plain values, frozen.

Whoever runs the capture fills a `Snapshot` from its counters whenever it is asked for one;
the metrics, the health check and the terminal view read nothing else. Counts run from the
start of the process and never fall. Moments are seconds since the epoch by the clock on
the wall, so that they can be compared with the time of the snapshot; packet time stays
inside of alerts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from netwatch.core.alert import Alert

RECENT = 64
"""Incidents told last that a snapshot holds."""

TOP = 64
"""Apps, and devices, with most contacts that a snapshot holds."""


@dataclass(frozen=True, slots=True)
class Table:
    """How full a bounded table is: entries now and at most, and how many had to go because
    it was full or they were too old."""

    entries: int
    limit: int
    evicted: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in memory between two parts of the capture: bytes now, and how many items
    found no room and were left out."""

    octets: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Queue:
    """What one output has not delivered yet.

    `waiting` are alerts, `oldest` is when the oldest of them was put there, None where
    none waits. `delivered`, `failed` (attempts) and `lost` (refused for good, or dropped by
    a full outbox) are counts.
    """

    waiting: int
    oldest: float | None = None
    delivered: int = 0
    failed: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """Files of packets that prove incidents: how many were written, their bytes, and what
    limits left out, by the reason."""

    files: int = 0
    octets: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A row of those with most contacts: an app or a device, how many contacts it made and
    how many incidents it is in."""

    name: str
    contacts: int
    incidents: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A running capture at one moment.

    `now`, `started`, `last_packet`, `last_drop` (when the drops last rose) and
    `last_reload` are moments, None for never. `dropped` are packets that the kernel lost
    before they came here, `freezes` how often its ring was full; `down` names those of the
    `interfaces` from which nothing can come, and `events` counts what became of them.
    `clock_steps` is how often the clock of the packets was set, `state_failures` how often
    what is open could not be stored. `incidents` counts what was told by verdict, `opened`
    those of them that are still open. `flows` are those that are over by their reading
    (`netwatch.coverage.readings`), `silent` the contacts without a verdict by the reason.
    `recent` are the incidents told last, the newest first, each as it was told
    last; `apps` and `devices` those with most contacts, at most `TOP`.
    """

    now: float
    started: float
    version: str
    interfaces: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    signatures: str = ""
    compiled: bool = True
    packets: int = 0
    octets: int = 0
    candidates: int = 0
    dropped: int = 0
    freezes: int = 0
    events: Mapping[str, int] = field(default_factory=dict)
    clock_steps: int = 0
    state_failures: int = 0
    last_packet: float | None = None
    last_drop: float | None = None
    reloads: int = 0
    refused_reloads: int = 0
    last_reload: float | None = None
    observations: Mapping[str, int] = field(default_factory=dict)
    anomalies: Mapping[str, int] = field(default_factory=dict)
    without_verdict: Mapping[str, int] = field(default_factory=dict)
    flows: Mapping[str, int] = field(default_factory=dict)
    incidents: Mapping[str, int] = field(default_factory=dict)
    opened: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    backlogs: Mapping[str, Backlog] = field(default_factory=dict)
    outputs: Mapping[str, Queue] = field(default_factory=dict)
    evidence: Written = field(default_factory=Written)
    recent: tuple[Alert, ...] = ()
    apps: tuple[Ranked, ...] = ()
    devices: tuple[Ranked, ...] = ()


Look = Callable[[], Snapshot]
"""Takes a snapshot. It is called from other threads than that of the capture, so it hands
out copies."""
