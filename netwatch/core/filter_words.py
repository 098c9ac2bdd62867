"""The words of filters of incidents and cases, which are the same in the console, its API and
`netwatch store query`.
"""

from collections.abc import Mapping

from netwatch.core.alert import TriageState

SEVERITIES = ("critical", "high", "medium", "low")
"""The severities of incidents and cases, the gravest first: the order in which lists have them."""

WORDS: Mapping[str, tuple[str, ...]] = {
    "verdict": ("violation", "advisory", "exempt"),
    "severity": SEVERITIES,
    "confidence": ("confirmed", "probable", "possible"),
    "kind": ("session", "background", "embed", "lookup"),
    "outcome": ("reached", "attempted", "blocked", "unknown"),
    "state": ("open", "update", "closed"),
}
"""The filters of incidents and cases that have fixed words."""

TRIAGE: Mapping[str, tuple[TriageState, ...]] = {
    "triage": ("new", "seen", "in-work", "justified", "false")
}
"""The filter by what people decided, in the order in which an incident usually has these states."""

DESCENDING = "-"
"""What an order begins with that has the last word, the newest or the most first."""

SORTS = ("severity", "-severity", "contacts", "-contacts")
"""The orders in which incidents and cases can be asked for instead of that of time: the gravest, or
the fewest contacts, first; behind ``-`` the other way round. The oldest of equals is first, but the
newest where the most contacts are."""

VERDICTS = WORDS["verdict"]
"""What a filter by verdict can ask for."""

EXCLUDES = "not-"
"""What the names of filters begin with that leave records out."""

EXCLUDED = ("app", "network", "sensor", "ban", "name", "device", *WORDS, *TRIAGE)
"""The filters of incidents and cases of which there is also one that leaves records out."""


def column_of(name: str) -> str:
    """The column of incidents and cases that a filter with fixed words is about."""
    return {"state": "status", "joined": "joined_by"}.get(name, name)
