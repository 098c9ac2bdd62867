"""What belongs to a period, to a ban and to a network, and what share of flows was named."""

from collections.abc import Iterable, Sequence
from datetime import date

from netwatch.core.verdict import Ban, Exemption
from netwatch.report import reading
from netwatch.report.answer import blind
from netwatch.report.period import Days, Span
from netwatch.report.reading import Incident, NetworkFlows
from netwatch.report.values import BanDayRow, NetworkRow

HOUR = 3_600_000_000_000
"""An hour in ns."""


def in_every_zone(days: Days) -> Span:
    """A time that has the days in every time zone."""
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
    """Whether devices of a network are those that a ban forbids something."""
    return device_class in ban.forbids and (not ban.networks or network in ban.networks)


def network_row(flows: NetworkFlows) -> NetworkRow:
    """The row of a network, with the share of its flows whose name was read."""
    row = NetworkRow(
        flows.network, flows.device_class, flows.flows, flows.named, flows.unnamed, None
    )
    share = named_share([row])
    return NetworkRow(row.network, row.device_class, row.flows, row.named, row.unnamed, share)


def named_share(rows: Iterable[NetworkRow]) -> float | None:
    """The share of flows with content whose name was read."""
    pairs = [blind(row) for row in rows]
    flows, unnamed = sum(each for each, _ in pairs), sum(each for _, each in pairs)
    return 1 - unnamed / flows if flows else None


def ban_days(ban: Ban, days: Days) -> tuple[BanDayRow, ...]:
    """The days of a ban that are in the weeks of a report."""
    found: list[tuple[date | None, str]] = [
        (each.start, "extended" if number else "from") for number, each in enumerate(ban.periods)
    ]
    followed = {each.start for each in ban.periods[1:]}
    found += [
        (each.end, "until")
        for each in ban.periods
        if each.end and date.fromordinal(each.end.toordinal() + 1) not in followed
    ]
    found.append((ban.review, "review"))
    return tuple(
        BanDayRow(day.isoformat(), event)  # type: ignore[arg-type]
        for day, event in sorted((day, event) for day, event in found if day is not None)
        if days.mondays[0] <= day <= days.last
    )


def measure_days(
    ban: Ban,
    register: Iterable[Exemption],
    days: Days,
    before: Sequence[Incident],
    incidents: Sequence[Incident],
) -> tuple[BanDayRow, ...]:
    """The days of measures in the report: exemptions from the ban that began or ended, and the
    first contact that was blocked, unless one was in the period `before`."""
    found: list[tuple[date | None, str]] = []
    for each in register:
        if each.ban == ban.id:
            found += [(each.start, "exemption"), (each.end, "exemption-ends")]
    if not any(each.outcome == "blocked" for each in before):
        blocked = [each.first_seen for each in incidents if each.outcome == "blocked"]
        found += [(days.day_of(min(blocked)), "block")] if blocked else []
    return tuple(
        BanDayRow(day.isoformat(), event)  # type: ignore[arg-type]
        for day, event in sorted((day, event) for day, event in found if day is not None)
        if days.first <= day <= days.last
    )
