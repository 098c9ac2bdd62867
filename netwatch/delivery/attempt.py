"""One attempt to deliver a batch, with all its possible results in one value.

A sink returns an outcome for each alert or raises for all of them, and a format may fail on a
record that another version of netwatch wrote. In every case `attempt` tells which alerts were
delivered, which were refused, and whether and when to retry.

Retries for single recipients have a schedule of their own, so that they and later alerts of the
same output do not wait for each other. ``netwatch outputs test`` and ``netwatch doctor`` send a
marked test alert, or check the connection without sending anything.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.delivery.dead_letters import DeadLetter
from netwatch.delivery.deferred import DeferredAlert, deduplication_key
from netwatch.delivery.outbox import OutboxDatabase, QueuedAlert
from netwatch.delivery.output import Output
from netwatch.sinks.base import (
    BatchRefusedError,
    Delivered,
    MisconfiguredError,
    OutgoingAlert,
    PerRecipient,
    Refused,
    Retry,
    Sink,
    UnavailableError,
)
from netwatch.sinks.secrets import redact


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """The result of a batch.

    `delivered` has the numbers of alerts in the outbox. `refused` maps such numbers to the record
    and the reason, for the dead letters. `state` is one of `outbox.STATES`; `reason` explains it
    unless it is ``idle``, and `retry_after` is how long the receiver asked to wait, in s. With
    `split_batch`, the batch was refused as a whole and must be split. `answer` is the receiver's
    answer to the last alert that it accepted.

    An alert that a receiver accepted only for some recipients is in `delivered`, if anybody has it.
    `deferred` has the recipients to which it must be sent again, for the reason `deferral`, and
    `refused_for` those for which it was refused.
    """

    delivered: frozenset[int] = frozenset()
    refused: dict[int, tuple[AlertRecord, str]] = field(default_factory=dict)
    state: Literal["idle", "retrying", "paused"] = "idle"
    reason: str = ""
    retry_after: float | None = None
    split_batch: bool = False
    answer: str = ""
    deferred: dict[int, tuple[str, ...]] = field(default_factory=dict)
    refused_for: dict[int, tuple[str, ...]] = field(default_factory=dict)
    deferral: str = ""


def attempt(output: Output, sink: Sink, queued: Sequence[QueuedAlert]) -> AttemptResult:
    """Send alerts once. Never raises, whatever a receiver, a format or a library does."""

    def clean(text: str) -> str:
        return redact(text, output.options.secrets())

    alerts, refused = _render(output, queued, clean)
    if not alerts:
        return AttemptResult(refused=refused)

    try:
        outcomes = sink.send(alerts)
    except BatchRefusedError as error:
        if len(alerts) > 1:
            return AttemptResult(refused=refused, split_batch=True)
        refused[alerts[0].number] = alerts[0].record, clean(str(error))
        return AttemptResult(refused=refused)
    except MisconfiguredError as error:
        return AttemptResult(refused=refused, state="paused", reason=clean(str(error)))
    except UnavailableError as error:
        return AttemptResult(
            refused=refused,
            state="retrying",
            reason=clean(str(error)),
            retry_after=error.retry_after,
        )
    except (NetwatchError, OSError) as error:
        return AttemptResult(refused=refused, state="retrying", reason=clean(str(error)))
    except Exception as error:  # From a receiver's library; it must not end the delivery worker.
        reason = clean(f"{type(error).__name__}: {error}")
        return AttemptResult(refused=refused, state="retrying", reason=reason)
    delivered: set[int] = set()
    deferred: dict[int, tuple[str, ...]] = {}
    refused_for: dict[int, tuple[str, ...]] = {}
    answer = reason = deferral = ""
    retry_after: float | None = None
    for alert, outcome in zip(alerts, outcomes, strict=True):
        match outcome:
            case Delivered():
                delivered.add(alert.number)
                answer = outcome.answer
            case Refused():
                refused[alert.number] = alert.record, clean(outcome.reason)
            case PerRecipient():
                if outcome.accepted:
                    delivered.add(alert.number)
                    answer = outcome.answer
                if outcome.refused:
                    reasons = clean(_reasons(outcome.refused))
                    refused[alert.number] = alert.record, reasons
                    refused_for[alert.number] = tuple(outcome.refused)
                if outcome.deferred:
                    deferred[alert.number] = tuple(outcome.deferred)
                    deferral = clean(_reasons(outcome.deferred))
            case Retry():
                reason = clean(outcome.reason) or "not accepted"
                retry_after = max(retry_after or 0, outcome.retry_after or 0) or None
    return AttemptResult(
        delivered=frozenset(delivered),
        refused=refused,
        state="retrying" if reason else "idle",
        reason=reason,
        retry_after=retry_after,
        answer=clean(answer),
        deferred=deferred,
        refused_for=refused_for,
        deferral=deferral,
    )


def _reasons(by_recipient: Mapping[str, str]) -> str:
    return "; ".join(f"{recipient}: {reason}" for recipient, reason in by_recipient.items())


def _render(
    output: Output, queued: Sequence[QueuedAlert], clean: Callable[[str], str]
) -> tuple[list[OutgoingAlert], dict[int, tuple[AlertRecord, str]]]:
    """Render alerts in the output's format. A record that it cannot express, for example from
    another version, is refused, so that it does not block the others."""
    alerts: list[OutgoingAlert] = []
    refused: dict[int, tuple[AlertRecord, str]] = {}
    for alert in queued:
        try:
            text = output.render(alert.record)
        except Exception as error:  # It becomes a dead letter, with the reason.
            reason = f"cannot be written as {output.format}: {type(error).__name__}: {error}"
            refused[alert.number] = alert.record, clean(reason)
            continue
        alerts.append(
            OutgoingAlert(
                number=alert.number,
                key=alert.key,
                record=alert.record,
                text=text,
                is_json=output.is_json,
                render_within=output.render_within,
                recipients=alert.recipients,
            )
        )
    return alerts, refused


def send(output: Output, record: dict[str, Any]) -> AttemptResult:
    """Send an alert to one output immediately, bypassing the outbox. Raises `NetwatchError` if the
    output cannot even be opened."""
    sink = output.options.open()
    try:
        alert = QueuedAlert(1, deduplication_key(record), 0.0, record)
        return attempt(output, sink, [alert])
    finally:
        sink.close()


def check_connection(output: Output) -> tuple[bool, str]:
    """Whether the receiver of an output can be reached, without sending it an alert, and its answer
    or the reason why not."""
    try:
        sink = output.options.open()
        try:
            reached, text = True, sink.check_connection()
        finally:
            sink.close()
    except NetwatchError as error:
        reached, text = False, str(error)
    except Exception as error:  # From a receiver's library.
        reached, text = False, f"{type(error).__name__}: {error}"
    return reached, redact(text, output.options.secrets())


class Deferral:
    """The alerts of one output that wait for single recipients. `write_dead_letters` stores dead
    letters and returns how many fitted; `delay` returns how long to wait after so many consecutive
    failures, and `paused_delay` how long if somebody must correct something, in s. `reason` is why
    alerts wait, empty if none does."""

    def __init__(
        self,
        output: Output,
        write_dead_letters: Callable[[Sequence[DeadLetter]], int],
        delay: Callable[[int], float],
        paused_delay: float,
    ) -> None:
        self._output = output
        self._write_dead_letters = write_dead_letters
        self._delay = delay
        self._paused_delay = paused_delay
        self._failures = 0
        self._due = 0.0
        self.reason = ""

    def begin(self, reason: str) -> None:
        """Alerts were deferred for this reason."""
        self.reason = reason
        if self._due == math.inf:
            self._failures = 1
            self._due = time.monotonic() + self._delay(1)

    def retry_now(self) -> None:
        """Make the next attempt immediately."""
        self._due = 0.0

    def look_for_more(self, outbox: OutboxDatabase) -> None:
        """Notice alerts that another process has stored."""
        if self._due == math.inf and outbox.deferred_batches(self._output.name, 1):
            self._due = 0.0

    def due_in(self) -> float:
        """How long until the next attempt, in s: infinite if no alert waits."""
        return max(0.0, self._due - time.monotonic())

    def retry(self, outbox: OutboxDatabase, sink: Sink) -> None:
        """Make an attempt for all waiting recipients."""
        # If an error follows, other alerts must not wait for this for ever.
        self._due = time.monotonic() + self._delay(self._failures + 1)
        reasons, is_paused = [], False
        for batch in outbox.deferred_batches(self._output.name, sink.max_batch):
            for result in self._send(outbox, sink, batch):
                is_paused = is_paused or result.state == "paused"
                reasons += [text for text in (result.reason, result.deferral) if text]
        if not reasons:
            self.reason, self._failures, self._due = "", 0, math.inf
            self.look_for_more(outbox)  # There may be more than fit into a batch.
            return
        self.reason = reasons[-1]
        self._failures += 1
        delay = self._paused_delay if is_paused else self._delay(self._failures)
        self._due = time.monotonic() + delay

    def _send(
        self, outbox: OutboxDatabase, sink: Sink, batch: Sequence[DeferredAlert]
    ) -> list[AttemptResult]:
        """Send alerts to their recipients. A batch that is refused as a whole is split."""
        readable = [alert for alert in batch if not alert.reason]
        letters = [
            DeadLetter(f"cannot be read from the outbox: {alert.reason}", unreadable=alert.text)
            for alert in batch
            if alert.reason
        ]
        queued = [
            QueuedAlert(
                alert.number, alert.key, alert.waited, alert.record, recipients=alert.recipients
            )
            for alert in readable
        ]
        result = attempt(self._output, sink, queued) if queued else AttemptResult()
        if result.split_batch:
            half = len(readable) // 2
            first = self._send(outbox, sink, readable[:half])
            return first + self._send(outbox, sink, readable[half:])
        for number, (record, reason) in result.refused.items():
            recipients = result.refused_for.get(number) or batch[0].recipients
            letters.append(DeadLetter(reason, record, recipients=recipients))
        dead = self._write_dead_letters(letters) if letters else 0
        finished = {alert.number for alert in batch if alert.reason}
        finished |= (result.delivered | result.refused.keys()) - result.deferred.keys()
        outbox.settle_deferred(
            self._output.name,
            finished,
            list(result.deferred.items()),
            sent=[alert.key for alert in readable if alert.number in result.delivered],
            retried=int(bool(result.reason or result.deferred)),
            dead=dead,
            dropped=len(letters) - dead,
        )
        return [result]
