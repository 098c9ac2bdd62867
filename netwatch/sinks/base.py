"""The contract between delivery and the sinks: what a sink gets, and what it returns.

A sink delivers alerts to one receiver. It only knows the receiver's protocol: it has no queue, does
not retry and starts no thread; all of that is done by `netwatch.delivery.worker`, which passes it a
batch of alerts. The sink returns one outcome for each alert:

- `Delivered`: the receiver has it.
- `Refused`: the receiver will never accept it. It becomes a dead letter.
- `Retry`: the receiver did not accept it now. It is sent again later.
- `PerRecipient`: the receiver answered differently for each of several recipients.

If one answer applies to the whole batch, the sink raises instead, and no alert counts as
delivered:

- `UnavailableError`: the receiver is down or busy. The batch is sent again later.
- `MisconfiguredError`: the receiver rejects this output as such, so somebody must correct
  credentials, permissions or an address. The output is paused.
- `BatchRefusedError`: the receiver will never accept these alerts in one batch. The batch is split
  until the alert at fault is found.

Alerts rank by verdict and severity: delivery filters by that, and sinks for people sort by it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import Fields
from netwatch.sinks.secrets import Secret

VERDICTS = ("exempt", "advisory", "violation")
"""From the least to the most serious, as `min_verdict` compares them."""

SEVERITIES = ("low", "medium", "high", "critical")
"""From the least to the most serious, as `min_severity` compares them."""


def verdict_rank(record: AlertRecord) -> int:
    """The position of an alert's verdict in `VERDICTS`."""
    return _rank(VERDICTS, record.get("verdict"))


def severity_rank(record: AlertRecord) -> int:
    """The position of an alert's severity in `SEVERITIES`."""
    return _rank(SEVERITIES, record.get("severity"))


def _rank(words: Sequence[str], word: object) -> int:
    """An unknown word ranks as the most serious one, so that no filter suppresses it."""
    return words.index(word) if isinstance(word, str) and word in words else len(words) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingAlert:
    """One alert to send. `number` identifies it in the outbox. `key` is the same whenever the same
    alert is sent again, so that receivers can drop duplicates. `text` is `record` in the output's
    format, one JSON object if `is_json`. `render_within` renders a record in at most so many bytes
    of UTF-8, if shortening its lists can achieve that. `recipients` are the ones to send it to, the
    same for all alerts of a batch; empty for all of the output."""

    number: int
    key: str
    record: AlertRecord
    text: str
    is_json: bool
    render_within: Callable[[AlertRecord, int], str]
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has the alert. `answer` is what it replied, for people."""

    answer: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver will never accept this alert, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """The receiver did not accept this alert now, for this reason. `retry_after` is how long it
    asked to wait, in s, if it did."""

    reason: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class PerRecipient:
    """The result of an alert for each recipient. Some may have it: `accepted`. To others it must be
    sent again, `deferred`, or they will never get it, `refused`; both have the reasons, by
    recipient. `answer` is what the receiver replied, for people."""

    answer: str
    accepted: frozenset[str]
    deferred: Mapping[str, str]
    refused: Mapping[str, str]


Outcome = Delivered | Refused | Retry | PerRecipient


class UnavailableError(NetwatchError):
    """The receiver cannot be reached or is busy. `retry_after` is as in `Retry`."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class MisconfiguredError(NetwatchError):
    """The receiver rejects this output until somebody corrects its credentials, its permissions
    or its address."""


class BatchRefusedError(NetwatchError):
    """The receiver will never accept these alerts in one batch."""


class Sink(Protocol):
    """Delivers alerts to one receiver. Used by one thread at a time."""

    max_batch: int
    """How many alerts `send` accepts, at most."""

    def send(self, alerts: Sequence[OutgoingAlert]) -> Sequence[Outcome]:
        """Send alerts and return one outcome for each, in the same order. Raises
        `UnavailableError`, `MisconfiguredError` or `BatchRefusedError` for all of them."""
        ...

    def check_connection(self) -> str:
        """Go as far as the receiver allows without sending an alert: resolve its name, connect,
        verify its certificate, authenticate. Returns how far that was, for people; raises like
        `send`."""
        ...

    def on_idle(self) -> None:
        """Called when no alert is queued for this output. A sink whose connection cannot be left
        unattended closes it here."""
        ...

    def close(self) -> None:
        """Close connections and files. The next `send` opens them again."""
        ...


class SinkOptions(Protocol):
    """The validated options of one output, from which its sink is opened."""

    def secrets(self) -> tuple[Secret, ...]:
        """The secrets that the output needs."""
        ...

    def warning(self) -> str:
        """The data that the output sends in clear text, because its configuration accepts that;
        empty if nothing."""
        ...

    def open(self) -> Sink:
        """Create the sink, which connects at the first `send`. Raises `NetwatchError` if a
        library that it needs is not installed."""
        ...


class DeclaredOptions(SinkOptions, Protocol):
    """Options that are a dataclass whose fields declare the keys of an output
    (`netwatch.core.file_keys`)."""

    def checked(self, fields: Fields, base: Path) -> Self:
        """The options, checked together; mistakes are noted in the fields that they were read from.
        Relative paths count from the folder `base`."""
        ...
