"""How severe an alert is: what the ban says, and lower where less than use of the app was seen."""

from netwatch.core.alert import IncidentKind
from netwatch.core.verdict import Outcome, Severity

LOWERED: dict[Severity, Severity] = {
    "critical": "high",
    "high": "medium",
    "medium": "low",
    "low": "low",
}
"""The severity one step lower; ``low`` stays."""

LOWERING: dict[str, str] = {
    "outcome blocked": "the block worked: the device reached nothing of the app",
    "kind embed": "a page or another app loaded a part of it; nothing shows the app itself",
}
"""What lowers the severity of a ban by one step, and why; both together by two."""


def severity_of(ban: Severity, outcome: Outcome, kind: IncidentKind) -> Severity:
    """The severity of an alert under a ban of severity `ban`."""
    severity = ban
    if outcome == "blocked":
        severity = LOWERED[severity]
    if kind == "embed":
        severity = LOWERED[severity]
    return severity
