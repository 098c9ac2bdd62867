"""Counts the incidents of a ban: by week, by their properties, and by device; and what exemptions
from it were used for: the configuration's register with the incidents that it covered, and
violations of a device after its exemption had ended."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date

from netwatch.core.period import period
from netwatch.core.verdict import CONFIDENCE_RANK, Ban, Exemption
from netwatch.coverage.judged import HOUR
from netwatch.formats.values import rfc3339
from netwatch.report.answer import WEIGHTS, weight
from netwatch.report.reading import Days, Incident, Span, monday_of
from netwatch.report.values import (
    Counts,
    DeviceRow,
    ExemptionRow,
    ExemptionState,
    IncidentRow,
    Totals,
    WeekCounts,
)

_OUTCOMES = ("unknown", "blocked", "attempted", "reached")

Naming = Callable[[str], str]
"""Returns the name of a device in the report from its id: a pseudonym, or the id itself."""


def merged(incidents: Iterable[Incident]) -> tuple[list[Incident], int]:
    """Incidents without duplicates that two runs saw: the same device, app, ban and verdict, at
    overlapping times. The weightier one stays; also returns how many were left out."""
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
    found = Counter((incident.verdict, weight_of(incident)) for incident in incidents)
    weights = {each: found["violation", each] for each in WEIGHTS}
    return Counts(sum(weights.values()), found["advisory", ""], found["exempt", ""], **weights)


def by(incidents: Iterable[Incident], key: Callable[[Incident], str]) -> dict[str, Counts]:
    """How many incidents there are by a property, the most frequent first."""
    groups: defaultdict[str, list[Incident]] = defaultdict(list)
    for incident in incidents:
        groups[key(incident)].append(incident)
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return {value: counts(found) for value, found in ranked}


def totals(incidents: Sequence[Incident], left_out: int) -> Totals:
    """The incidents by their properties."""
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
    """The incidents by the week in which they began; `captured` returns for how many hours of a
    time anything was captured, `missing` are the days without any."""
    groups: defaultdict[date, list[Incident]] = defaultdict(list)
    for incident in incidents:
        groups[monday_of(days.day_of(incident.first_seen))].append(incident)
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
    for incident in incidents:
        groups[incident.device].append(incident)
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
            id=incident.id,
            first_seen=rfc3339(incident.first_seen, 0),
            last_seen=rfc3339(incident.last_seen, 0),
            verdict=incident.verdict,
            confidence=incident.confidence,
            kind=incident.kind,
            outcome=incident.outcome,
            weight=weight_of(incident),
            app=incident.app,
            device=name(incident.device),
            network=incident.network,
            device_class=incident.device_class,
            seen_by=incident.seen_by,
            joined_by=incident.joined_by,
            server=incident.server,
            unheard=incident.unheard,
            by_flows=incident.by_flows,
            sampling=incident.sampling,
        )
        for incident in incidents
    )


def weight_of(incident: Incident) -> str:
    """How an incident counts for the answer; empty if it is not a violation."""
    if incident.verdict != "violation":
        return ""
    found = weight(incident.confidence, incident.kind, incident.outcome)
    assert found in WEIGHTS
    return found


def exemption_rows(
    ban: Ban,
    register: Iterable[Exemption],
    incidents: Sequence[Incident],
    name: Naming,
    *,
    names_devices: bool,
) -> tuple[ExemptionRow, ...]:
    """The exemptions from a ban, in the order of the register; those no longer in it come last.
    With `names_devices`, a device has its name in the register."""
    own = [each for each in register if each.ban == ban.id]
    rows = [_row(ban, each, incidents, name) for each in own]
    if names_devices:
        rows = [replace(row, device=each.device) for row, each in zip(rows, own, strict=True)]
    return (*rows, *_not_registered(ban, own, incidents, name))


def _row(
    ban: Ban, exemption: Exemption, incidents: Sequence[Incident], name: Naming
) -> ExemptionRow:
    days = period(exemption.start, exemption.end, ban.timezone)
    own = [incident for incident in incidents if _is_of(exemption, incident)]
    used = sum(each.verdict == "exempt" and each.first_seen in days for each in own)
    after = sum(each.verdict == "violation" and days.is_before(each.first_seen) for each in own)
    state: ExemptionState = "used-after-expiry" if after else "used" if used else "unused"
    return ExemptionRow(
        ban=ban.id,
        device=name(own[0].device if own else exemption.device),
        apps=tuple(sorted(exemption.apps)),
        first=exemption.start.isoformat() if exemption.start else None,
        last=exemption.end.isoformat() if exemption.end else None,
        reason=exemption.reason,
        approved_by=exemption.approved_by,
        state=state,
        used=used,
        after_expiry=after,
    )


def _is_of(exemption: Exemption, incident: Incident) -> bool:
    is_app = not exemption.apps or incident.app_id in exemption.apps
    return is_app and exemption.device in incident.addresses


def _not_registered(
    ban: Ban, register: Sequence[Exemption], incidents: Iterable[Incident], name: Naming
) -> list[ExemptionRow]:
    """Exemptions that covered incidents of devices that are not in the register."""
    known = {each.device for each in register}
    used: Counter[str] = Counter()
    seen: dict[str, Incident] = {}
    for incident in incidents:
        if incident.verdict == "exempt" and not known & set(incident.addresses):
            used[incident.device] += 1
            seen.setdefault(incident.device, incident)
    return [
        ExemptionRow(
            ban=ban.id,
            device=name(device),
            apps=(),
            first=None,
            last=(seen[device].exemption or {}).get("until"),
            reason=str((seen[device].exemption or {}).get("reason") or ""),
            approved_by=str((seen[device].exemption or {}).get("approved_by") or ""),
            state="not-registered",
            used=count,
            after_expiry=0,
        )
        for device, count in sorted(used.items())
    ]
