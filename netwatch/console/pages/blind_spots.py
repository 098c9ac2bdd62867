"""The blind spots: in which networks how many flows had no readable name, why, and what would cure
it."""

from collections import defaultdict

from netwatch.charts.coverage import NetworkCoverage, coverage_picture
from netwatch.console.answers import Answer, Page
from netwatch.console.figures import figure
from netwatch.console.pages.incidents import QUERY_SECONDS
from netwatch.console.period_reports import days_of
from netwatch.console.view import View
from netwatch.core.dataclass import dataclass
from netwatch.report import labels, reading
from netwatch.report.captured import captured_spans, missing_days
from netwatch.report.page import report_language
from netwatch.report.period import Days, hours_of
from netwatch.report.selecting import zone_of
from netwatch.store.coverage_rows import NAMED, OUTSIDE
from netwatch.store.coverage_sums import CoverageSum, coverage_sums
from netwatch.store.fleet_sensors import silences


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """Flows of a network without a readable name, for one reason; `share` is that of all its
    flows. `reason` and `cure` are texts."""

    network: str
    reason: str
    flows: int
    share: float
    cure: str


_SILENCES = 50


def show(view: View) -> Answer:
    """The blind spots of a period, in days of the time zone of the bans. A record of coverage has
    the flows of a whole run, which say nothing of days without a packet."""
    first, last = days_of(view)
    catalogue = view.console.catalogue
    days = Days(first, last, zone_of(view.console.config.policy.bans))
    begin, end = days.span
    captured = captured_spans(catalogue, (begin, end))
    is_captured = hours_of((begin, end), captured) > 0
    sums = coverage_sums(catalogue, begin, end, timeout=QUERY_SECONDS) if is_captured else []
    beyond = reading.packets(catalogue, (begin, end)).beyond if is_captured else 0
    inside = [each for each in sums if each.network != OUTSIDE]
    networks = _networks(inside)
    values = {
        "first": first,
        "last": last,
        "figure": figure(view, coverage_picture(networks, view.language)) if networks else None,
        "spots": _spots(view, inside, {each.network: each.flows for each in networks}),
        "zone_of_days": days.timezone,
        "beyond": beyond,
        "missing": len(missing_days(days, captured)),
        "silences": [
            (each, ((each.until or view.console.now()) - each.since) / 1e9)
            for each in silences(catalogue, begin, end, limit=_SILENCES)
        ],
        "outside": sum(each.flows for each in sums if each.network == OUTSIDE),
    }
    return Page("blind_spots", values)


def _networks(sums: list[CoverageSum]) -> list[NetworkCoverage]:
    flows: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for each in sums:
        found = flows[each.network]
        found[each.reason] = found.get(each.reason, 0) + each.flows
    return [
        NetworkCoverage(
            network,
            sum(reasons.values()),
            reasons.get(NAMED, 0),
            {reason: count for reason, count in reasons.items() if reason != NAMED},
        )
        for network, reasons in sorted(flows.items())
    ]


def _spots(view: View, sums: list[CoverageSum], totals: dict[str, int]) -> list[BlindSpot]:
    used = report_language(view.language.code)
    reasons, cures = labels.reasons(used), labels.cures(used)
    spots = [
        BlindSpot(
            each.network,
            reasons.get(each.reason, each.reason),
            each.flows,
            each.flows / totals[each.network],
            cures.get(each.reason, ""),
        )
        for each in sums
        if each.reason != NAMED
    ]
    return sorted(spots, key=lambda spot: -spot.flows)
