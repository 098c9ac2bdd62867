"""One attempt to deliver a batch, and all that can come of it, as one value.

A sink answers for each alert, or raises for all of them; a format may fail on a record
that another version wrote. Whatever happened, `attempt` says which alerts arrived, which
never will, and whether and when to try again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from netwatch.core.errors import NetwatchError
from netwatch.delivery.outbox import Row
from netwatch.sinks.base import (
    Again,
    Delivered,
    DeniedError,
    Item,
    Output,
    Record,
    Refused,
    RejectedError,
    Sink,
    UnavailableError,
)
from netwatch.sinks.secrets import redacted


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a batch: `arrived` and `refused` by number in the outbox, the latter
    as (record, reason) for the dead letters; `state` as in `spool.STATES`, with the reason
    where it is not ``idle``, and how long the receiver asked to wait, in s. `halve`: the
    batch was refused as a whole, its halves may not be. `answer` is what the receiver said
    of the last alert that arrived."""

    arrived: frozenset[int]
    refused: dict[int, tuple[Record, str]]
    state: Literal["idle", "retrying", "paused"] = "idle"
    reason: str = ""
    after: float | None = None
    halve: bool = False
    answer: str = ""


def attempt(output: Output, sink: Sink, rows: Sequence[Row]) -> Result:
    """Send alerts once; never raises for what a receiver, a format or a library does."""
    refused: dict[int, tuple[Record, str]] = {}
    items: list[Item] = []
    for row in rows:
        try:
            text = output.render(row.record)
        except Exception as error:  # a record of another version must not hold up the rest
            told = f"cannot be written as {output.format}: {type(error).__name__}: {error}"
            refused[row.seq] = row.record, told
        else:
            items.append(Item(row.seq, row.key, row.record, text, output.fit))

    def clean(text: str) -> str:
        return redacted(text, output.settings.secrets())

    nothing: frozenset[int] = frozenset()
    try:
        outcomes = sink.send(items) if items else ()
    except RejectedError as error:
        if len(items) > 1:
            return Result(nothing, refused, halve=True)
        refused[items[0].seq] = items[0].record, clean(str(error))
        return Result(nothing, refused)
    except DeniedError as error:
        return Result(nothing, refused, "paused", clean(str(error)))
    except UnavailableError as error:
        return Result(nothing, refused, "retrying", clean(str(error)), error.after)
    except (NetwatchError, OSError) as error:
        return Result(nothing, refused, "retrying", clean(str(error)))
    except Exception as error:  # of a receiver's library: the courier must live on
        return Result(nothing, refused, "retrying", clean(f"{type(error).__name__}: {error}"))
    arrived: set[int] = set()
    answer = reason = ""
    after: float | None = None
    for item, outcome in zip(items, outcomes, strict=True):
        if isinstance(outcome, Delivered):
            arrived.add(item.seq)
            answer = outcome.answer
        elif isinstance(outcome, Refused):
            refused[item.seq] = item.record, clean(outcome.reason)
        else:
            assert isinstance(outcome, Again)
            reason = clean(outcome.reason) or "not taken"
            after = max(after or 0, outcome.after or 0) or None
    state: Literal["idle", "retrying"] = "retrying" if reason else "idle"
    return Result(frozenset(arrived), refused, state, reason, after, answer=clean(answer))
