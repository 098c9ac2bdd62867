"""The blind spots: in which networks how many flows had no readable name, why, and what would cure
it."""

from collections import Counter, defaultdict

from netwatch.charts.coverage import NetworkCoverage, coverage_picture
from netwatch.console.answers import Answer, Page
from netwatch.console.figures import figure
from netwatch.console.period_reports import days_of
from netwatch.console.view import View
from netwatch.core.dataclass import dataclass
from netwatch.report import labels
from netwatch.report.collect import common_timezone
from netwatch.report.covering import missing_days, network_flows
from netwatch.report.page import report_language
from netwatch.report.period import Days
from netwatch.report.reading import NetworkFlows
from netwatch.store.coverage_rows import OUTSIDE
from netwatch.store.fleet_sensors import silences
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
    """The blind spots of a period, in days of the time zone of the bans."""
    first, last = days_of(view)
    catalogue = view.console.catalogue
    days = Days(first, last, common_timezone(view.console.config.policy.bans))
    begin, end = days.span
    judged = judged_coverage(catalogue, begin, end)
    flows = network_flows(judged, (begin, end))
    inside = [each for each in flows if each.network != OUTSIDE]
    networks = _networks(inside)
    values = {
        "first": first,
        "last": last,
        "figure": figure(view, coverage_picture(networks, view.language)) if networks else None,
        "spots": _spots(view, inside, {each.network: each.flows for each in networks}),
        "zone_of_days": days.timezone,
        "missing": len(missing_days(judged, days)),
        "silences": [
            (each, ((each.until or view.console.now()) - each.since) / 1e9)
            for each in silences(catalogue, begin, end, limit=_SILENCES)
        ],
        "outside": sum(each.flows for each in flows if each.network == OUTSIDE),
    }
    return Page("blind_spots", values)


def _networks(flows: list[NetworkFlows]) -> list[NetworkCoverage]:
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    named: Counter[str] = Counter()
    for each in flows:
        reasons[each.network].update(each.unnamed)
        named[each.network] += each.named
    return [
        NetworkCoverage(network, named[network] + sum(found.values()), named[network], dict(found))
        for network, found in sorted(reasons.items())
    ]


def _spots(view: View, flows: list[NetworkFlows], totals: dict[str, int]) -> list[BlindSpot]:
    used = report_language(view.language.code)
    reasons, cures = labels.reasons(used), labels.cures(used)
    spots = [
        BlindSpot(
            each.network,
            reasons.get(reason, reason),
            count,
            count / totals[each.network],
            cures.get(reason, ""),
        )
        for each in flows
        for reason, count in each.unnamed.items()
    ]
    return sorted(spots, key=lambda spot: -spot.flows)
