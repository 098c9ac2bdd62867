"""A situation: frames made in code, and what netwatch has to say of them.

The same set is a test (`tests/incidents/test_situations.py`), the table of
`bench/situations.md`, and what the peers of `bench/conformance.md` are given. A situation
that accuses comes with its control: the same traffic without what makes the difference.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Topic = Literal["kind", "outcome", "evidence", "forgery", "evasion", "ech"]

Frames = Sequence[tuple[int, bytes]]
"""Ethernet frames with their times, in ns since the epoch."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the one incident of a situation has to say. With `confidence` None nothing may be
    reported. `contradictions` are their types; `names` what `netwatch names` has to show of the
    banned app; `blind` the reason of a blind spot, empty where there is none."""

    confidence: Literal["confirmed", "probable", "possible"] | None
    kind: Literal["session", "background", "embed", "lookup"] | None = None
    outcome: Literal["reached", "attempted", "blocked", "unknown"] | None = None
    contradictions: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    blind: str = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """`id` is a slug, `title` one plain sentence without a full stop. `configuration` is the YAML
    of a `netwatch.yaml`, beside the usual networks; `contact` says whether the device
    really turned to the app, by a lookup or a connection, whatever came of it; False where the
    packets only look like that, None where frames alone cannot tell."""

    id: str
    topic: Topic
    title: str
    frames: Callable[[], Frames]
    expected: Expected
    contact: bool | None
    configuration: str = ""
