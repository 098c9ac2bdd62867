"""What the outbox says of what it has: queued alerts, and the state of each output."""

from dataclasses import dataclass

from netwatch.core.alert import AlertRecord

STATES = ("idle", "retrying", "paused", "stopped")
"""The state of an output: its last attempt succeeded, it will be retried automatically, somebody
has to correct something first, or nothing delivers its alerts now."""


@dataclass(frozen=True, slots=True)
class QueuedAlert:
    """An alert in the outbox. `number` increases with every alert, `key` identifies duplicates, and
    `waited` is how long ago the alert was stored, in s. With `is_repeat`, the output has delivered
    it before, and must not send it again. `recipients` are those that are to get it, empty for all
    of the output."""

    number: int
    key: str
    waited: float
    record: AlertRecord
    is_repeat: bool = False
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnreadableAlert:
    """What is stored in place of an alert's record, and why it is none."""

    number: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """An output as the outbox knows it: how many alerts are queued, when the oldest of these was
    stored (s since the epoch), and how many alerts were delivered, attempts failed, alerts became
    dead letters, and alerts were dropped because they were too old, too many or lost in a damaged
    outbox. `repeated` of the delivered ones had been delivered before, and so many repeats were
    `skipped`. `state` is one of `STATES`, `reason` explains it, and `last_sent` is when the
    receiver last accepted an alert."""

    name: str
    type: str
    format: str
    configured: bool
    queued: int
    oldest: float | None
    sent: int
    retried: int
    dead: int
    dropped: int
    repeated: int
    skipped: int
    state: str
    reason: str
    last_sent: float | None
