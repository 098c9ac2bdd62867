"""The pictures of a report, from its values."""

from collections.abc import Iterable
from datetime import date

from netwatch.charts.before_after import NetworkChange, Seen, before_after
from netwatch.charts.coverage import NetworkCoverage, coverage_picture
from netwatch.charts.heat_map import DeviceWeeks, heat_map
from netwatch.charts.picture import Picture
from netwatch.charts.weeks import BanDay, Week, WeeklyIncidents, weeks_picture
from netwatch.language.language import Language
from netwatch.report.values import BanReport, Coverage, Report


def weeks(ban: BanReport, language: Language) -> Picture:
    """Incidents by week, and how they count."""
    found = [
        Week(
            date.fromisoformat(each.monday),
            each.counts.categories if each.counts else {},
            [date.fromisoformat(day) for day in each.missing],
            each.captured,
        )
        for each in ban.weeks
        for found in [each.counts]
    ]
    days = [BanDay(date.fromisoformat(each.day), each.event) for each in ban.days]
    return weeks_picture(WeeklyIncidents(found, days), language)


def coverage(values: Coverage, language: Language) -> Picture:
    """What could be read, by network."""
    rows = [
        NetworkCoverage(each.network, each.flows, each.named, each.unnamed)
        for each in values.networks
    ]
    return coverage_picture(rows, language)


def devices(ban: BanReport, language: Language) -> Picture | None:
    """Devices by weeks; None where no device had an incident."""
    if not ban.devices:
        return None
    rows = [
        DeviceWeeks(
            each.device,
            {date.fromisoformat(monday): count for monday, count in each.weeks.items()},
        )
        for each in ban.devices
    ]
    first, last = ban.weeks[0].monday, ban.weeks[-1].monday
    return heat_map(rows, date.fromisoformat(first), date.fromisoformat(last), language)


def change(report: Report, ban: BanReport, language: Language) -> Picture | None:
    """The period before and that of the report, by network; None where there is none."""
    rows = [
        NetworkChange(
            name, Seen(each.before, each.named_before), Seen(each.after, each.named_after)
        )
        for name, each in ban.change.networks.items()
    ]
    if not rows:
        return None
    names = (
        _span((report.previous_first, report.previous_last), language),
        _span((report.first, report.last), language),
    )
    return before_after(rows, names, language)


def _span(days: Iterable[str], language: Language) -> str:
    first, last = (language.day(date.fromisoformat(day)) for day in days)
    return language.say("%(first)s to %(last)s", first=first, last=last)
