"""The grade of a rule: the confidence that a handshake with one of its names gives, and why.

It begins with the role, and each of these conditions lowers it; none raises it:

=================  =====================================  ==============================
condition          exclusive (confirmed)                  vendor (probable)
=================  =====================================  ==============================
embed_reachable    probable                               possible
confidence: X      at most X                              at most X
verified: false    probable                               probable
one source family  probable, in the shipped set only      probable
=================  =====================================  ==============================

The roles ``embed`` and ``cdn`` give ``possible`` in any case. A host that pages or other apps call
does not prove use of the app, and a name that only one list attributes to the app may be that
list's mistake. A site's own files count as their authors wrote them.

A source is a public list, table or page of the names of apps. Lists copy each other, so the number
of lists means little: sources of one *family* count once. A row of the table is a fact about a
source; a new tag in a shipped signature needs a row here (lint rule ``unknown-source``).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import MappingProxyType
from typing import NamedTuple

from netwatch.core.verdict import CONFIDENCE_RANK, Confidence, Role
from netwatch.language.sentences import sentence

GRADE_OF_ROLE: Mapping[Role, Confidence] = {
    "exclusive": "confirmed",
    "vendor": "probable",
    "embed": "possible",
    "cdn": "possible",
}
"""The grade of a rule by its role, if nothing lowers it."""

_ONE_STEP_LESS: Mapping[Confidence, Confidence] = {
    "confirmed": "probable",
    "probable": "possible",
    "possible": "possible",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A source by its tag. `state` is the newest day, month or year of the text that was read.
    `copied` has the apps whose names it copied from another family, by their ids."""

    tag: str
    family: str
    description: str
    state: str
    copied: Mapping[str, str] = field(default_factory=dict)


_ROWS = (
    Source(
        "acl4ssr", "acl4ssr", "rule sets for proxy clients of the project ACL4SSR", "2026-08-22"
    ),
    Source(
        "adguard",
        "adguard",
        "services of AdGuard's registry of host lists",
        "2026",
        {"telegram": "v2fly", "whatsapp": "v2fly"},
    ),
    Source("adguard-kb", "adguard", "AdGuard's table of DNS providers", "2026-07-21"),
    Source(
        "blocklistproject", "blocklistproject", "host lists of the Block List Project", "2026-07-20"
    ),
    Source("citizenlab", "citizenlab", "test lists of the Citizen Lab", "2026"),
    Source(
        "danhorton7",
        "blocklistproject",
        "a host list that nearly contains the former",
        "2025-09-18",
    ),
    Source("ddg-radar", "ddg-radar", "DuckDuckGo's crawl of third parties on web sites", "2026"),
    Source("dibdot", "dibdot", "a list of hosts of DNS over HTTPS", "2026-08-22"),
    Source("disconnect", "disconnect", "Disconnect's lists of entities and trackers", "2026-08-07"),
    Source("ghostery", "ghostery", "Ghostery's database of trackers", "2026-08-06"),
    Source(
        "hagezi",
        "adguard",
        "HaGeZi's lists, which contain names of AdGuard's services",
        "2026-04-27",
    ),
    Source("hagezi-2022", "adguard", "the state of HaGeZi's lists in 2022", "2022-07-24"),
    Source(
        "integrator-docs",
        "integrator-docs",
        "instructions of companies that install products",
        "2026-11",
    ),
    Source(
        "ios-rule-script", "ios-rule-script", "rule sets for proxy clients of blackmatrix7", "2022"
    ),
    Source(
        "maltrail", "maltrail", "Maltrail's lists of malicious and suspicious names", "2026-08-23"
    ),
    Source("ndpi", "ndpi", "nDPI's table of names by protocol", "2024-10-21"),
    Source("nextdns", "nextdns", "NextDNS's lists of names by service", "2025-11-15"),
    Source(
        "ooni-probe",
        "ooni-probe",
        "tests of the OONI probe for Telegram and WhatsApp",
        "2026-08-14",
    ),
    Source("public-code", "public-code", "public source code that calls the host", "2026-11"),
    Source("sukka", "sukka", "rule sets for proxy clients of Sukka", "2026-08-23"),
    Source(
        "third-party-web", "third-party-web", "a table of third parties on web sites", "2026-05-13"
    ),
    Source("v2fly", "v2fly", "v2fly's lists of names by service", "2026-08-19"),
    Source("vendor-docs", "vendor-docs", "documentation of the vendor", "2026-11"),
)

SOURCES: Mapping[str, Source] = MappingProxyType({row.tag: row for row in _ROWS})
"""All sources of the shipped signatures by their tags."""


def families(tags: Iterable[str], app_id: str = "") -> frozenset[str]:
    """The families of the sources with these tags, for an app. A tag that is not in the table is a
    family of its own: the sources of a site's own files are not known here."""
    found = set()
    for tag in tags:
        source = SOURCES.get(tag)
        found.add(source.copied.get(app_id, source.family) if source else tag)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Marks:
    """What a rule states about the weight of its names besides role and sources: the highest grade
    that its author allows, whether somebody confirmed the names' owner, whether pages or other apps
    call them too. `shipped` is whether the rule came with netwatch."""

    cap: Confidence | None = None
    verified: bool = True
    embed_reachable: bool = False
    shipped: bool = False


@dataclass(frozen=True, slots=True)
class Grade:
    """The grade of a rule and the reasons: the role, then each condition that would lower it by
    itself. `conditions` has them in a few words (``one source``), `reasons` as sentences.

    `lone_family` is the only family of sources if nothing but that lowers the grade of a name which
    only the app calls; such a rule counts more together with another one.
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
    """Marks, one object for all rules with the same ones: a catalogue may have a million."""
    return Marks(cap, verified, embed_reachable, shipped)


UNMARKED = marks()
"""The marks of a rule in a site's own file that states nothing else."""


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
