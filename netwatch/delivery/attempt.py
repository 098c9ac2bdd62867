"""One attempt to deliver a batch, with everything that can come of it in one value.

A sink returns an outcome for each alert or raises for all of them, and a format may fail on a
record that another version of netwatch wrote. Whatever happens, `attempt` says which alerts were
delivered, which were refused, and whether and when to retry.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.delivery.output import Output
from netwatch.delivery.queue_values import QueuedAlert
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
from netwatch.sinks.redaction import redact


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """What became of a batch.

    `delivered` has the numbers of alerts in the outbox. `refused` maps such numbers to the record
    and the reason, for the dead letters. `state` is one of `outbox.STATES`; `reason` explains it
    unless it is ``idle``, and `retry_after` is how long the receiver asked to wait, in s. With
    `split_batch`, the batch was refused as a whole and has to be split. `answer` is the receiver's
    answer to the last alert that it accepted.

    An alert that a receiver took for some recipients only is in `delivered`, if anybody has it.
    `deferred` has the recipients for which it is to be sent again, for the reason `deferral`, and
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
    """Render alerts in the output's format. A record that it cannot express, for example one of
    another version, is refused, so that it does not block the others."""
    alerts: list[OutgoingAlert] = []
    refused: dict[int, tuple[AlertRecord, str]] = {}
    for each in queued:
        try:
            text = output.render(each.record)
        except Exception as error:  # Whatever fails, the record becomes a dead letter with why.
            reason = f"cannot be written as {output.format}: {type(error).__name__}: {error}"
            refused[each.number] = each.record, clean(reason)
            continue
        alerts.append(
            OutgoingAlert(
                number=each.number,
                key=each.key,
                record=each.record,
                text=text,
                is_json=output.is_json,
                render_within=output.render_within,
                recipients=each.recipients,
            )
        )
    return alerts, refused
