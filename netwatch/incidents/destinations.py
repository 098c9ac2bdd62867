"""What an alert says of its incident: the servers and where their addresses belong, and how severe
it is, which is lower where less than use of the app was seen.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from netwatch.core.addresses import ip_text
from netwatch.core.alert import Destination, IncidentKind
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


class GeoLookup(Protocol):
    """Looks up where an address belongs, as `netwatch.inventory.geo.Geo` does."""

    def lookup(self, ip: bytes | str) -> tuple[int | None, str | None, str | None]:
        """AS number, AS organisation and ISO country code of an address; None where unknown."""
        ...


def located(
    destinations: Iterable[tuple[Any, ...]], geo: GeoLookup | None
) -> Iterator[Destination]:
    """Destinations in order, each of which ends with a packed address and a port, with what is
    known of the address."""
    for _, ip, port in sorted(destinations):
        location = geo.lookup(ip) if geo else (None, None, None)
        yield Destination(ip_text(ip), port, *location)


def severity_of(ban: Severity, outcome: Outcome, kind: IncidentKind) -> Severity:
    """The severity of an alert under a ban of severity `ban`."""
    severity = ban
    if outcome == "blocked":
        severity = LOWERED[severity]
    if kind == "embed":
        severity = LOWERED[severity]
    return severity
