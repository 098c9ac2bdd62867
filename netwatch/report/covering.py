"""What belongs to a period, to a ban and to a network, what share of flows was named, and what
judged coverage means for a report: the basis of each ban's answer, the flows of networks, and the
times without a capture."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from netwatch.config import Config
from netwatch.core.verdict import Ban, Exemption
from netwatch.coverage.judged import (
    QUARTER,
    QUARTERS,
    JudgedCoverage,
    bits_or,
    by_k,
    by_name,
    long_runs,
    says,
)
from netwatch.coverage.missing import (
    MISSING_REASONS,
    Limits,
    NetworkAnswer,
    NetworkInScope,
    look,
    spans_of,
)
from netwatch.formats.values import rfc3339
from netwatch.report import reading
from netwatch.report.answer import blind
from netwatch.report.reading import Days, Incident, NetworkFlows, Span
from netwatch.report.values import BanCoverage, BanDayRow, Event, Missing, NetworkRow, Thresholds
from netwatch.rules.bans import ban_contents

HOUR = 3_600_000_000_000
"""An hour in ns."""

MAX_MISSING = 200
"""Times in which something is missing to list in a report for a ban, longest first."""


def in_every_zone(days: Days) -> Span:
    """A time that contains the days in every time zone."""
    begin, end = Days(days.first, days.last, "UTC").span
    return begin - 15 * HOUR, end + 15 * HOUR


def is_in(incident: Incident, days: Days) -> bool:
    """Whether an incident began on one of the days."""
    begin, end = days.span
    return begin <= incident.first_seen < end


def is_within(incident: Incident, spans: Sequence[Span]) -> bool:
    """Whether an incident began in one of the spans."""
    return any(begin <= incident.first_seen < end for begin, end in spans)


def overlaps(capture: reading.Capture, span: Span) -> bool:
    """Whether a capture has packets from both before the end and after the beginning."""
    if capture.first is None or capture.last is None:
        return False
    return capture.first < span[1] and capture.last >= span[0]


def concerns(ban: Ban, network: str, device_class: str) -> bool:
    """Whether a ban forbids something to devices of a network."""
    return device_class in ban.forbids and (not ban.networks or network in ban.networks)


def network_row(flows: NetworkFlows) -> NetworkRow:
    """The row of a network, with the share of its flows whose name was read."""
    row = NetworkRow(
        flows.network,
        flows.device_class,
        flows.flows,
        flows.named,
        flows.unnamed,
        None,
        {str(names): count for names, count in flows.one_of.items()},
    )
    return replace(row, named_share=named_share([row]))


def named_share(rows: Iterable[NetworkRow]) -> float | None:
    """The share of flows with content whose name was read."""
    pairs = [blind(row) for row in rows]
    flows, unnamed = sum(each for each, _ in pairs), sum(each for _, each in pairs)
    return 1 - unnamed / flows if flows else None


def ban_days(ban: Ban, days: Days) -> tuple[BanDayRow, ...]:
    """The days of a ban that are in the weeks of a report."""
    return _rows(ban_events(ban), days.mondays[0], days.last)


def ban_events(ban: Ban) -> list[tuple[date | None, Event]]:
    """The days of a ban: when it came into force, was extended, ended, and is due for review."""
    found: list[tuple[date | None, Event]] = [
        (each.start, "extended" if number else "from") for number, each in enumerate(ban.periods)
    ]
    followed = {period.start for period in ban.periods[1:]}
    found += [
        (period.end, "until")
        for period in ban.periods
        if period.end and date.fromordinal(period.end.toordinal() + 1) not in followed
    ]
    return [*found, (ban.review, "review")]


def exemption_events(ban: str, register: Iterable[Exemption]) -> list[tuple[date | None, Event]]:
    """The days on which exemptions from a ban began or ended."""
    found: list[tuple[date | None, Event]] = []
    for each in register:
        if each.ban == ban:
            found += [(each.start, "exemption"), (each.end, "exemption-ends")]
    return found


def _rows(
    events: Iterable[tuple[date | None, Event]], first: date, last: date
) -> tuple[BanDayRow, ...]:
    return tuple(
        BanDayRow(day.isoformat(), event)
        for day, event in sorted((day, event) for day, event in events if day is not None)
        if first <= day <= last
    )


def measure_days(
    ban: Ban,
    register: Iterable[Exemption],
    days: Days,
    before: Sequence[Incident],
    incidents: Sequence[Incident],
) -> tuple[BanDayRow, ...]:
    """The days of measures in the report: exemptions from the ban that began or ended, and the
    first blocked contact, unless there was one in the period `before`."""
    found = exemption_events(ban.id, register)
    if not any(each.outcome == "blocked" for each in before):
        blocked = [incident.first_seen for incident in incidents if incident.outcome == "blocked"]
        found += [(days.day_of(min(blocked)), "block")] if blocked else []
    return _rows(found, days.first, days.last)


@dataclass(frozen=True, slots=True)
class Covered:
    """What is known about the networks that a ban is about, in the times in which it forbids."""

    networks: tuple[NetworkAnswer, ...]
    coverage: BanCoverage
    command: str

    def hours(self, reason: str) -> float:
        """For how long something is missing for this reason, in any of the networks."""
        return _hours(bits_or(network.missing[reason] for network in self.networks))  # type: ignore[index]

    def by_network(self, reason: str) -> dict[str, float]:
        """The same by network, but for hours that flow records or logs alone show: see `by_flows`
        and `by_logs`."""
        return _by_network(
            (each, each.missing[reason] & ~each.by_flows & ~each.by_logs)  # type: ignore[index]
            for each in self.networks
        )

    @property
    def by_flows(self) -> dict[str, float]:
        """For how long flow records alone show a network, by network."""
        return _by_network((each, each.by_flows) for each in self.networks)

    @property
    def by_logs(self) -> dict[str, float]:
        """For how long logs of services alone show a network, by network."""
        return _by_network((each, each.by_logs) for each in self.networks)


def _by_network(found: Iterable[tuple[NetworkAnswer, int]]) -> dict[str, float]:
    return {each.network.name: _hours(quarters) for each, quarters in found if quarters}


def flows_of(found: NetworkAnswer) -> NetworkFlows:
    """The flows of a network in the times of a ban."""
    return _flows(found.network.name, found.network.device_class, found.flows)


def _flows(network: str, device_class: str, counts: Mapping[int, int]) -> NetworkFlows:
    flows = by_name(counts)
    named = flows.pop("named", 0)
    total = named + sum(flows.values())
    return NetworkFlows(network, device_class, total, named, flows, by_k(counts))


class Covering:
    """Computes it for the bans of a configuration."""

    def __init__(self, coverage: JudgedCoverage, config: Config, thresholds: Thresholds) -> None:
        self.coverage = coverage
        self._config = config
        self._contents = ban_contents(config.policy.bans, config.catalog)
        self._limits = Limits(thresholds.gap * 1_000_000_000, thresholds.unnamed)

    def of_ban(self, ban: Ban, spans: Sequence[Span]) -> Covered:
        """What is known about a ban in times that are whole days in its time zone."""
        sensor = self._config.sensor
        wanted = says(ban.id, self._contents[ban.id], sensor.signatures, sensor.bans)
        found = tuple(
            look(self.coverage, network, spans, ban.timezone, wanted, self._limits)
            for network in networks_of(ban, self._config)
        )
        command = _command(bits_or(each.missing["not-judged"] for each in found), self.coverage)
        return Covered(found, self._values(found, command), command)

    def _values(self, found: Sequence[NetworkAnswer], command: str) -> BanCoverage:
        missing = [
            (begin, end, each.network.name, reason)
            for each in found
            for reason in MISSING_REASONS
            for begin, end in spans_of(self.coverage, each.missing[reason])
        ]
        missing.sort(key=lambda one: (one[0] - one[1], one[0], one[2]))
        listed = sorted(missing[:MAX_MISSING])
        return BanCoverage(
            hours=sum(_hours(each.wanted) for each in found),
            captured=sum(_hours(each.captured) for each in found),
            by_flows=sum(_hours(each.by_flows) for each in found),
            by_logs=sum(_hours(each.by_logs) for each in found),
            judged=sum(_hours(each.judged) for each in found),
            readable=sum(_hours(each.readable) for each in found),
            missing=tuple(
                Missing(
                    rfc3339(begin, 0),
                    rfc3339(end, 0),
                    network,
                    reason,
                    command if reason == "not-judged" else None,
                )
                for begin, end, network, reason in listed
            ),
            missing_left=len(missing) - len(listed),
        )


def networks_of(ban: Ban, config: Config) -> list[NetworkInScope]:
    """The networks of the configuration that a ban is about."""
    return [
        NetworkInScope(scope.network.name, scope.network.device_class, scope.expected)
        for scope in config.networks.scopes
        if concerns(ban, scope.network.name, scope.network.device_class)
    ]


def network_flows(coverage: JudgedCoverage, span: Span) -> list[NetworkFlows]:
    """The flows of each network that was seen in a time."""
    return [
        _flows(name, kind, counts)
        for name in coverage.networks()
        for kind, counts in coverage.flows(name, *span).items()
        if by_name(counts)
    ]


def captured_hours(coverage: JudgedCoverage, span: Span) -> float:
    """For how many hours of a time anything was captured."""
    return _hours(coverage.captured_at_all & coverage.quarters_of(*span))


def missing_days(coverage: JudgedCoverage, days: Days) -> list[date]:
    """The days without any capture."""
    every = (days.first + timedelta(days=number) for number in range(days.count))
    return [
        day for day in every if not captured_hours(coverage, Days(day, day, days.timezone).span)
    ]


def holes(coverage: JudgedCoverage, span: Span, tolerance: int) -> list[Span]:
    """The times of at least `tolerance` (s) in which nothing was captured."""
    empty = coverage.quarters_of(*span) & ~coverage.captured_at_all
    length = max(1, tolerance * 1_000_000_000 // QUARTER)
    return [*spans_of(coverage, long_runs(empty, length))]


def captured_networks(coverage: JudgedCoverage, span: Span) -> Mapping[str, float]:
    """For how many hours of a time each network was captured."""
    wanted = coverage.quarters_of(*span)
    return {name: _hours(coverage.captured(name) & wanted) for name in coverage.listeners}


def _hours(quarters: int) -> float:
    return quarters.bit_count() / QUARTERS


def _command(quarters: int, coverage: JudgedCoverage) -> str:
    """The command that judges these times again."""
    if not quarters:
        return ""
    spans = [*spans_of(coverage, quarters)]
    first, last = spans[0][0], spans[-1][1] - 1
    return f"netwatch rejudge --record --since {_day(first)} --until {_day(last)}"


def _day(time: int) -> str:
    return datetime.fromtimestamp(time // 1_000_000_000, UTC).strftime("%Y-%m-%d")
