"""The grade of a rule: the confidence that a handshake with a name of it gives, and why.

It begins with the role, and each of these conditions takes it down; none raises it:

=================  =====================================  ==============================
condition          exclusive (confirmed)                  vendor (probable)
=================  =====================================  ==============================
embed_reachable    probable                               possible
confidence: X      at most X                              at most X
verified: false    probable                               probable
one source family  probable, in the shipped set only      probable
=================  =====================================  ==============================

The roles ``embed`` and ``cdn`` give ``possible`` in any case. A host that pages or other apps call
proves no use of the app, and a name that nobody but one list calls the app's may be a mistake of
that list. A site's own files count as their authors wrote them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

from netwatch.core.verdict import CONFIDENCE_RANK, Confidence, Role
from netwatch.language.sentences import sentence
from netwatch.rules.sources import families

GRADE_OF_ROLE: Mapping[Role, Confidence] = {
    "exclusive": "confirmed",
    "vendor": "probable",
    "embed": "possible",
    "cdn": "possible",
}
"""The grade of a rule by its role, where nothing takes it down."""

_ONE_STEP_LESS: Mapping[Confidence, Confidence] = {
    "confirmed": "probable",
    "probable": "possible",
    "possible": "possible",
}


@dataclass(frozen=True, slots=True)
class Marks:
    """What a rule says about the weight of its names beside role and sources: the highest grade
    that its author allows, whether somebody confirmed whose the name is, whether pages or other
    apps call it too. `shipped` is whether the rule came with netwatch."""

    cap: Confidence | None = None
    verified: bool = True
    embed_reachable: bool = False
    shipped: bool = False


@dataclass(frozen=True, slots=True)
class Grade:
    """The grade of a rule and the reasons: the role, then each condition that alone would take it
    down. `conditions` has them in a few words (``one source``), `reasons` as sentences.

    `lone_family` is the only family of sources where nothing but that takes down a name which only
    the app calls; such a rule gives more beside another one.
    """

    value: Confidence
    conditions: tuple[str, ...]
    reasons: tuple[str, ...]
    lone_family: str = ""


@cache
def marks(
    cap: Confidence | None = None,
    verified: bool = True,
    embed_reachable: bool = False,
    shipped: bool = False,
) -> Marks:
    """Marks, one object for all rules that have the same: a catalogue may have a million."""
    return Marks(cap, verified, embed_reachable, shipped)


UNMARKED = marks()
"""The marks of a rule of a site's own file that says nothing else."""


@lru_cache(maxsize=4096)
def grade(role: Role, marks: Marks, sources: tuple[str, ...], app_id: str = "") -> Grade:
    """The grade of a rule with this role, these marks and the tags of these sources."""
    start = GRADE_OF_ROLE[role]
    limits = [
        limit
        for limit in _limits(role, marks, sources, app_id)
        if CONFIDENCE_RANK[limit.value] < CONFIDENCE_RANK[start]
    ]
    value = min((limit.value for limit in limits), key=CONFIDENCE_RANK.__getitem__, default=start)
    lone = ""
    if role == "exclusive" and [limit.condition for limit in limits] == [_ONE_SOURCE]:
        (lone,) = families(sources, app_id)
    return Grade(
        value,
        tuple(limit.condition for limit in limits) or (f"role {role}",),
        (
            sentence(f"role-{role}", grade=start),
            *(limit.reason for limit in limits),
        ),
        lone,
    )


class _Limit(NamedTuple):
    value: Confidence
    condition: str
    reason: str


_ONE_SOURCE = "one source"


def _limits(role: Role, marks: Marks, sources: tuple[str, ...], app_id: str) -> Iterator[_Limit]:
    if marks.embed_reachable:
        less = _ONE_STEP_LESS[GRADE_OF_ROLE[role]]
        yield _Limit(less, "embed_reachable", sentence("limit-embed", grade=less))
    if marks.cap:
        reason = sentence("limit-cap", cap=marks.cap, grade=marks.cap)
        yield _Limit(marks.cap, f"confidence: {marks.cap}", reason)
    if not marks.verified:
        reason = sentence("limit-unverified", grade="probable")
        yield _Limit("probable", "verified: false", reason)
    if marks.shipped and len(families(sources, app_id)) == 1:
        reason = sentence("limit-one-source", sources=", ".join(sources), grade="probable")
        yield _Limit("probable", _ONE_SOURCE, reason)
