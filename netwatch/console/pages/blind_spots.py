"""The blind spots: in which networks how many flows had no readable name, why, and what would cure
it."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

from netwatch.charts.coverage import NetworkCoverage, coverage_picture
from netwatch.console.answers import Answer, Page
from netwatch.console.figures import figure
from netwatch.console.pages.incidents import QUERY_SECONDS
from netwatch.console.period_reports import days_of
from netwatch.console.view import View
from netwatch.core.dataclass import dataclass
from netwatch.report import labels
from netwatch.report.page import report_language
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
    """The blind spots of a period (days in UTC)."""
    first, last = days_of(view, [])
    sums = coverage_sums(
        view.console.catalogue, _midnight(first), _midnight(last + timedelta(days=1)),
        timeout=QUERY_SECONDS,
    )  # fmt: skip
    inside = [each for each in sums if each.network != OUTSIDE]
    networks = _networks(inside)
    values = {
        "first": first,
        "last": last,
        "figure": figure(view, coverage_picture(networks, view.language)) if networks else None,
        "spots": _spots(view, inside, {each.network: each.flows for each in networks}),
        "silences": [
            (each, ((each.until or view.console.now()) - each.since) / 1e9)
            for each in silences(
                view.console.catalogue,
                _midnight(first),
                _midnight(last + timedelta(days=1)),
                limit=_SILENCES,
            )
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


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000_000
