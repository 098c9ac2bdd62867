"""What happens in a live capture, as values for the log, the metrics and the view."""

from collections.abc import Callable
from dataclasses import dataclass

from netwatch.core.alert import Alert


@dataclass(frozen=True, slots=True)
class Started:
    """The capture runs: `workers` processes read `interfaces`. `policy` and `signatures` are
    versions; `restored` counts the open incidents that were read from the state file."""

    interfaces: tuple[str, ...]
    workers: int
    policy: str
    signatures: str
    restored: int


@dataclass(frozen=True, slots=True)
class AlertSent:
    """An incident was opened, updated or closed, and this alert was sent."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence about an interface, the state file or an output. `warning` is False where
    it is for information only."""

    text: str
    warning: bool = True


@dataclass(frozen=True, slots=True)
class PacketsDropped:
    """Packets that the kernel dropped since the last such event, and in total."""

    packets: int
    total: int


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A new configuration is in use; `policy` and `signatures` are its versions."""

    policy: str
    signatures: str


@dataclass(frozen=True, slots=True)
class ReloadRefused:
    """A new configuration has mistakes, one per line of `error`; the old one stays in use."""

    error: str


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """The traffic of the last `seconds`, and how many incidents are open now. `records` are those
    of logs, None where packets are read."""

    seconds: float
    packets: int
    wire_bytes: int
    dropped: int
    open_incidents: int
    records: int | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The capture has ended; `reason` is for people."""

    reason: str


Event = (
    Started | AlertSent | Note | PacketsDropped | Reloaded | ReloadRefused | TrafficReport | Stopped
)
Listener = Callable[[Event], None]
