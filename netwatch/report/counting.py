"""Counts the incidents of a ban: by week, by what they are like, and by device."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date

from netwatch.core.verdict import CONFIDENCE_RANK
from netwatch.coverage.hours import HOUR
from netwatch.formats.values import rfc3339
from netwatch.report.answer import WEIGHTS, weight
from netwatch.report.period import Days, Span, monday_of
from netwatch.report.reading import Incident
from netwatch.report.values import Counts, DeviceRow, IncidentRow, Totals, WeekCounts

_OUTCOMES = ("unknown", "blocked", "attempted", "reached")

Naming = Callable[[str], str]
"""Gives the name of a device in the report from its id: a pseudonym, or the id itself."""


def merged(incidents: Iterable[Incident]) -> tuple[list[Incident], int]:
    """Incidents without those that two runs saw of the same thing: the same device, app, ban and
    verdict, at times that overlap. The weightier one stays; also how many were left out."""
    kept: list[Incident] = []
    left_out = 0
    last: dict[tuple[str, str, str, str], int] = {}
    for each in sorted(incidents, key=lambda each: (each.first_seen, each.id)):
        key = each.ban, each.app, each.device, each.verdict
        at = last.get(key)
        if at is not None and kept[at].run != each.run and each.first_seen <= kept[at].last_seen:
            kept[at] = max(kept[at], each, key=_strength)
            left_out += 1
            continue
        last[key] = len(kept)
        kept.append(each)
    return kept, left_out


def _strength(incident: Incident) -> tuple[int, int, int]:
    return (
        CONFIDENCE_RANK[incident.confidence],
        _OUTCOMES.index(incident.outcome),
        incident.last_seen,
    )


def counts(incidents: Iterable[Incident]) -> Counts:
    """How many incidents there are, by verdict and by weight."""
    found = Counter((each.verdict, weight_of(each)) for each in incidents)
    weights = {each: found["violation", each] for each in WEIGHTS}
    return Counts(sum(weights.values()), found["advisory", ""], found["exempt", ""], **weights)


def by(incidents: Iterable[Incident], key: Callable[[Incident], str]) -> dict[str, Counts]:
    """How many incidents there are by a property, the most frequent first."""
    groups: defaultdict[str, list[Incident]] = defaultdict(list)
    for each in incidents:
        groups[key(each)].append(each)
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return {value: counts(found) for value, found in ranked}


def totals(incidents: Sequence[Incident], left_out: int) -> Totals:
    """The incidents by what they are like."""
    return Totals(
        all=counts(incidents),
        app=by(incidents, lambda each: each.app),
        network=by(incidents, lambda each: each.network),
        device_class=by(incidents, lambda each: each.device_class),
        kind=by(incidents, lambda each: each.kind),
        outcome=by(incidents, lambda each: each.outcome),
        confidence=by(incidents, lambda each: each.confidence),
        merged=left_out,
    )


def weekly(
    incidents: Iterable[Incident],
    days: Days,
    captured: Callable[[Span], float],
    missing: Collection[date],
) -> tuple[WeekCounts, ...]:
    """The incidents by the week in which they began; `captured` says for how many hours of a time
    anything was captured, `missing` are the days without any."""
    groups: defaultdict[date, list[Incident]] = defaultdict(list)
    for each in incidents:
        groups[monday_of(days.day_of(each.first_seen))].append(each)
    found = []
    for monday in days.mondays:
        begin, end = Days(monday, date.fromordinal(monday.toordinal() + 6), days.timezone).span
        hours = captured((begin, end))
        own = groups.get(monday, [])
        found.append(
            WeekCounts(
                monday.isoformat(),
                counts(own) if hours or own else None,
                bool(hours),
                round((end - begin) / HOUR, 2),
                hours,
                tuple(day.isoformat() for day in missing if monday == monday_of(day)),
            )
        )
    return tuple(found)


def device_rows(incidents: Iterable[Incident], days: Days, name: Naming) -> tuple[DeviceRow, ...]:
    """The devices, those with incidents on most days first."""
    groups: defaultdict[str, list[Incident]] = defaultdict(list)
    for each in incidents:
        groups[each.device].append(each)
    rows = [_device_row(name(device), found, days) for device, found in groups.items()]
    return tuple(sorted(rows, key=lambda row: (-row.days, -row.counts.total, row.device)))


def _device_row(name: str, incidents: Sequence[Incident], days: Days) -> DeviceRow:
    seen = [days.day_of(each.first_seen) for each in incidents]
    weeks = Counter(monday_of(day).isoformat() for day in seen)
    last = max(incidents, key=lambda each: each.last_seen)
    return DeviceRow(
        device=name,
        network=incidents[-1].network,
        device_class=incidents[-1].device_class,
        apps=tuple(sorted({each.app for each in incidents})),
        counts=counts(incidents),
        days=len(set(seen)),
        weeks=dict(sorted(weeks.items())),
        first_seen=rfc3339(incidents[0].first_seen, 0),
        last_seen=rfc3339(last.last_seen, 0),
    )


def incident_rows(incidents: Iterable[Incident], name: Naming) -> tuple[IncidentRow, ...]:
    """The incidents, each with how it counts for the answer; in the order of time."""
    return tuple(
        IncidentRow(
            id=each.id,
            first_seen=rfc3339(each.first_seen, 0),
            last_seen=rfc3339(each.last_seen, 0),
            verdict=each.verdict,
            confidence=each.confidence,
            kind=each.kind,
            outcome=each.outcome,
            weight=weight_of(each),
            app=each.app,
            device=name(each.device),
            network=each.network,
            device_class=each.device_class,
            seen_by=each.seen_by,
            joined_by=each.joined_by,
            server=each.server,
            unheard=each.unheard,
        )
        for each in incidents
    )


def weight_of(incident: Incident) -> str:
    """How an incident counts for the answer; empty where it is no violation."""
    if incident.verdict != "violation":
        return ""
    found = weight(incident.confidence, incident.kind, incident.outcome)
    assert found in WEIGHTS
    return found
