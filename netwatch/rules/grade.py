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
from functools import cache

from netwatch.core.verdict import CONFIDENCE_RANK, Confidence, Role
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

_USERS: Mapping[Role, str] = {
    "exclusive": "only the app uses the domain",
    "vendor": "several apps of the vendor use the domain",
    "embed": "other sites and apps load the domain",
    "cdn": "the domain is a shared host that contains the app's name",
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
    """The grade of a rule, and the reasons as sentences: the role, then each condition that alone
    would take it down. `lone_family` is the only family of sources where nothing but that takes
    down a name which only the app calls; such a rule gives more beside another one."""

    value: Confidence
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


def grade(role: Role, marks: Marks, sources: tuple[str, ...], app_id: str = "") -> Grade:
    """The grade of a rule with this role, these marks and the tags of these sources."""
    start = GRADE_OF_ROLE[role]
    limits = [
        (limit, reason)
        for limit, reason in _limits(role, marks, sources, app_id)
        if CONFIDENCE_RANK[limit] < CONFIDENCE_RANK[start]
    ]
    value = min((limit for limit, _ in limits), key=CONFIDENCE_RANK.__getitem__, default=start)
    reasons = (
        f"{_USERS[role]} (role {role}): {start}",
        *(f"{reason}: at most {limit}" for limit, reason in limits),
    )
    lone = ""
    if role == "exclusive" and len(limits) == 1 and _has_lone_family(marks, sources, app_id):
        (lone,) = families(sources, app_id)
    return Grade(value, reasons, lone)


def _limits(
    role: Role, marks: Marks, sources: tuple[str, ...], app_id: str
) -> Iterator[tuple[Confidence, str]]:
    if marks.embed_reachable:
        limit = _ONE_STEP_LESS[GRADE_OF_ROLE[role]]
        yield limit, "pages or other apps call the domain too (embed_reachable)"
    if marks.cap:
        yield marks.cap, f"the rule says so (confidence: {marks.cap})"
    if not marks.verified:
        yield "probable", "nobody confirmed whose the domain is (verified: false)"
    if _has_lone_family(marks, sources, app_id):
        tags = ", ".join(sources)
        yield "probable", f"the shipped rule rests on one independent source ({tags})"


def _has_lone_family(marks: Marks, sources: tuple[str, ...], app_id: str) -> bool:
    return marks.shipped and len(families(sources, app_id)) == 1
