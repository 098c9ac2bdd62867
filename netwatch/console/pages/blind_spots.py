"""The blind spots: in which networks how many flows had no readable name, why, and what would cure
it."""

from dataclasses import dataclass

from netwatch.charts.coverage import NetworkCoverage, coverage_picture
from netwatch.console.answers import Answer, Page
from netwatch.console.figures import figure
from netwatch.console.pages.incidents import QUERY_SECONDS
from netwatch.console.period_reports import days_of
from netwatch.console.view import View
from netwatch.report import labels
from netwatch.report.collect import common_timezone
from netwatch.report.covering import missing_days, network_flows
from netwatch.report.page import report_language
from netwatch.report.period import Days
from netwatch.report.reading import NetworkFlows
from netwatch.store.fleet_sensors import silences
from netwatch.store.hour_rows import outside_flows
from netwatch.store.judged_coverage import judged_coverage


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
    """The blind spots of a period; its days are those of a report on the same."""
    first, last = days_of(view)
    days = Days(first, last, common_timezone(view.console.config.policy.bans))
    begin, end = days.span
    catalogue = view.console.catalogue
    judged = judged_coverage(catalogue, begin, end)
    found = network_flows(judged, (begin, end))
    networks = [
        NetworkCoverage(each.network, each.flows, each.named, each.unnamed) for each in found
    ]
    with catalogue.database.reading(QUERY_SECONDS) as connection:
        outside, beyond = outside_flows(connection, begin, end)
    values = {
        "first": first,
        "last": last,
        "figure": figure(view, coverage_picture(networks, view.language)) if networks else None,
        "spots": _spots(view, found),
        "zone_of_days": days.timezone,
        "missing": len(missing_days(judged, days)),
        "silences": [
            (each, ((each.until or view.console.now()) - each.since) / 1e9)
            for each in silences(catalogue, begin, end, limit=_SILENCES)
        ],
        "outside": outside,
        "beyond": beyond,
    }
    return Page("blind_spots", values)


def _spots(view: View, found: list[NetworkFlows]) -> list[BlindSpot]:
    used = report_language(view.language.code)
    reasons, cures = labels.reasons(used), labels.cures(used)
    spots = [
        BlindSpot(
            each.network,
            reasons.get(reason, reason),
            flows,
            flows / each.flows,
            cures.get(reason, ""),
        )
        for each in found
        for reason, flows in each.unnamed.items()
    ]
    return sorted(spots, key=lambda spot: -spot.flows)
