"""What became of a contact after it was observed: the bytes of its flow, and its outcome.

A contact is counted when its name is seen; what its server did shows later, and when the flow has
ended at the latest. What is known then is a difference to what was counted before, so that it can
be added in any order, and to an incident that was written to disk in the meantime.
"""

from dataclasses import dataclass, field
from typing import Literal

from netwatch.core.frame import Frame
from netwatch.core.seen import Seen
from netwatch.incidents.kind_thresholds import VALUES

SECOND = 1_000_000_000

Tally = Literal["reached", "attempted", "blocked", "unknown", "silent"]
"""An outcome, or ``silent``, for contacts of whose server nothing was seen: the incident as a whole
tells whether these are ``attempted`` or, in a capture of one direction, ``unknown``."""


@dataclass(frozen=True, slots=True)
class ContactProgress:
    """What became of `contacts` contacts of one flow: they were counted as `was` and are to be
    counted as `now`. The first of them was at `time` (ns). Their device sent and received further
    payload in the flow, `bytes_out` and `bytes_in`; the flow's last packet so far was at `last`
    (ns). `use_in` is the difference in what `use_of` gives for the flow. Contacts that are blocked
    were blocked by `was_by`, and are by `by`; empty where the contact itself says by what. With
    `seen` no outcome is counted: it says how one contact was seen, as far as its flow tells by now,
    and `contacts` is 1 where something speaks against it that was not known before; `frames` are
    packets that acknowledge it, if frames are kept."""

    time: int
    bytes_out: int
    bytes_in: int
    last: int
    was: Tally = "silent"
    now: Tally = "silent"
    contacts: int = 0
    use_in: int = 0
    was_by: str = ""
    by: str = ""
    seen: Seen | None = None
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)


def use_of(bytes_in: int, duration: int) -> int:
    """What a device received in a flow of a duration (ns) as it does in use: soon after the
    contact, if the flow was even, and more than for a check for messages; else 0."""
    window = int(VALUES["burst_gap"]) * SECOND
    soon = bytes_in if duration <= window else bytes_in * window // duration
    return soon if soon >= VALUES["session_connection"] else 0
