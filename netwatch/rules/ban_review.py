"""What is due for a ban on a day: its review, its end, its gaps, and what is not confirmed.

All is a function of the ban and of the day, so that the past can be asked about too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from netwatch.core.verdict import Ban
from netwatch.rules.policy import State

FindingKind = Literal["review", "expired", "not-yet", "gap", "unconfirmed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to be looked at: `day` is the day it is about, None if there is none, `text` says
    what it is in words.

    ``review``: the day of the review has come, or comes soon. ``expired``: the last period is over.
    ``not-yet``: the first period has not begun. ``gap``: days between two periods on which the ban
    was or is not in force. ``unconfirmed``: what no source confirms.
    """

    kind: FindingKind
    day: date | None
    text: str


def state_on(ban: Ban, day: date) -> State:
    """Whether a ban is in force on a day of its time zone; ``gap`` between two periods."""
    if any(_contains(first, last, day) for first, last in ban.days):
        return "in force"
    if ban.start is not None and day < ban.start:
        return "not yet"
    return "over" if ban.end is not None and day > ban.end else "gap"


def review_ban(
    ban: Ban, day: date, within: int, unconfirmed: Sequence[str] = (), status: str = ""
) -> Iterator[Finding]:
    """What is due for a ban on a day, or within as many days from it. `unconfirmed` and `status`
    are those of its pack."""
    if review := _review(ban, day, within):
        yield review
    state = state_on(ban, day)
    if state == "over":
        yield Finding("expired", ban.end, f"was in force until {ban.end}")
    if state == "not yet":
        yield Finding("not-yet", ban.start, f"is in force only from {ban.start}")
    for first, last in ban.gaps:
        yield Finding("gap", first, f"not in force between {first} and {last}")
    if unconfirmed:
        words = ", ".join(unconfirmed)
        yield Finding(
            "unconfirmed", None, f"not confirmed: {words}" + (f" ({status})" * bool(status))
        )


def open_review(ban: Ban, known: date = date.max) -> date | None:
    """The day of the review, unless a later decision settled it: a further period that begins at or
    after it, of those that had begun on the day `known`."""
    review = ban.review
    if review is None:
        return None
    is_settled = any(period.start and review <= period.start <= known for period in ban.periods[1:])
    return None if is_settled else review


def _review(ban: Ban, day: date, within: int) -> Finding | None:
    """The review that is due on a day, as that day knew it."""
    review = open_review(ban, day)
    if review is None or review > day + timedelta(days=within):
        return None
    when = "was due on" if review < day else "is due on"
    return Finding("review", review, f"its review {when} {review}")


def _contains(first: date | None, last: date | None, day: date) -> bool:
    return (first or date.min) <= day <= (last or date.max)
