"""What an output is, and how a sink tells what became of alerts.

A sink takes alerts to one receiver, knows its protocol and nothing else: no queue, no
retry, no thread. It answers for each alert with an `Outcome`, or raises for all of them
what keeps it from delivering. Who waits, tries again and keeps count is
`netwatch.delivery.worker`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from netwatch.core.errors import NetwatchError, Problem
from netwatch.core.user_yaml import Fields
from netwatch.sinks.secrets import Secret

Record = Mapping[str, Any]
"""An alert as `netwatch.formats.jsonl.alert_record` makes it."""

Renderer = Callable[[Record], str]
"""An alert as one line of text, without the line end."""

Fit = Callable[[Record, int], str]
"""The same in at most so many bytes of UTF-8, where that can be reached."""

VERDICTS = ("exempt", "advisory", "violation")
"""From the least to the most, as `min_verdict` has them."""

SEVERITIES = ("low", "medium", "high", "critical")
"""From the least to the most, as `min_severity` has them."""

JSON_FORMATS = ("jsonl", "ecs", "ocsf", "eve", "gelf")
"""The formats that are one JSON object an alert."""


@dataclass(frozen=True, slots=True)
class Item:
    """One alert on its way: `key` is the same whenever the same alert is sent, so that a
    receiver can drop a repetition; `text` is the record in the output's format, `fit` gives
    a record in at most so many bytes, where that can be reached by shorter lists."""

    seq: int
    key: str
    record: Record
    text: str
    fit: Fit


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it; `answer` is what it said, for people."""

    answer: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver will never take this alert, because of `reason`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Again:
    """The receiver did not take this alert now; `after` is how long to wait, in s, where
    it said so."""

    reason: str
    after: float | None = None


Outcome = Delivered | Refused | Again


class UnavailableError(NetwatchError):
    """The receiver cannot be reached or is busy; `after` as in `Again`."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class DeniedError(NetwatchError):
    """The receiver refuses this output as a whole until a person mends it: credentials,
    a permission, an address that is none of its own."""


class RejectedError(NetwatchError):
    """The receiver will never take these alerts as they were sent together."""


class Sink(Protocol):
    """Takes alerts to one receiver. Used by one thread at a time."""

    batch: int
    """How many alerts `send` takes at most."""

    def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Send alerts; one outcome for each, in their order. Raises `UnavailableError`,
        `DeniedError` or `RejectedError` where one answer holds for all; then all count as
        not delivered."""
        ...

    def reach(self) -> str:
        """Go as far as a receiver lets one who sends no alert: its name, its certificate, our
        credentials. How far that was, for people; raises as `send` does."""
        ...

    def rest(self) -> None:
        """Nothing is waiting: give up what should not be held while idle."""
        ...

    def close(self) -> None:
        """Give up connections and files; the next `send` opens them again."""
        ...


class Settings(Protocol):
    """The keys of one type of output, checked."""

    def secrets(self) -> tuple[Secret, ...]:
        """The secrets that it needs."""
        ...

    def open(self) -> Sink:
        """A sink; connects with the first `send`. Raises `NetwatchError` where a library
        that it needs is not installed."""
        ...


@dataclass(frozen=True, slots=True)
class SinkType:
    """A row of `netwatch.sinks.table.SINKS`: `read` takes the type's own keys; paths count from
    the folder it is given. `formats` are those that the receiver can read (empty: all),
    `default` the one taken where none is written (empty: the type has a form of its
    own). `every` is for digests: how long alerts are gathered, in s."""

    read: Callable[[Fields, Path], Settings | None]
    default: str = "jsonl"
    formats: tuple[str, ...] = ()
    every: float = 0.0


@dataclass(frozen=True, slots=True)
class Output:
    """One entry of ``outputs`` in netwatch.yaml. `every` is how long alerts are gathered
    before they are sent, in s; 0 is at once. `file` and `line` are where it stands. Two are
    equal that deliver the same to the same, wherever they stand."""

    name: str
    type: str
    format: str
    render: Renderer = field(compare=False)
    fit: Fit = field(compare=False)
    min_verdict: int
    min_severity: int
    every: float
    settings: Settings
    file: str = field(compare=False)
    line: int = field(compare=False)

    def problems(self) -> list[Problem]:
        """Secrets that cannot be had now."""
        wrong = (secret.problem() for secret in self.settings.secrets())
        return [Problem(self.file, self.line, 0, f"output '{self.name}': {e}") for e in wrong if e]


@dataclass(frozen=True, slots=True)
class Outbox:
    """Where the outbox is and how it is bounded: bytes of the file in use, and the age of an
    alert in s."""

    folder: Path
    max_bytes: int = 256 << 20
    max_age: float = 30 * 86400.0


def rank(words: Sequence[str], word: object) -> int:
    """The place of a word in `VERDICTS` or `SEVERITIES`; what is not known there counts as
    the most, so that no filter hides it."""
    return words.index(word) if isinstance(word, str) and word in words else len(words) - 1
