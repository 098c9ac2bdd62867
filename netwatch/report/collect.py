"""Collects a report from a store and a configuration, once, as frozen values.

The ban's days are in its own time zone. Incidents belong to the days on which they began, so
reports on adjacent periods never share an incident.
"""

import functools
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from netwatch import __version__
from netwatch.config import Config
from netwatch.core.errors import ConfigError
from netwatch.core.period import UTC_ZONE
from netwatch.core.user_yaml import did_you_mean
from netwatch.core.verdict import Ban, BanTexts
from netwatch.coverage.judged import QUARTERS, bits_or, runs
from netwatch.formats.values import rfc3339
from netwatch.privacy import PseudonymKey, key_id_of, pseudonym
from netwatch.report import counting, covering, reading
from netwatch.report.answer import Violation, Visible, answer
from netwatch.report.blind_devices import blind_devices, bound_of, counted_devices, hiding_devices
from netwatch.report.counting import exemption_rows
from netwatch.report.covering import (
    HOUR,
    ban_days,
    in_every_zone,
    is_in,
    is_within,
    measure_days,
    named_share,
    network_row,
    overlaps,
)
from netwatch.report.reading import Days, Incident, Span, days_in_force, told_apart
from netwatch.report.values import (
    BanReport,
    Bound,
    Bypasses,
    CaptureRow,
    Change,
    Coverage,
    Gap,
    NetworkChangeRow,
    PeriodInForce,
    Reason,
    Report,
    SensorSilence,
    Sources,
    Thresholds,
    VersionRow,
)
from netwatch.store.catalogue import Catalogue
from netwatch.store.judged_coverage import judged_coverage
from netwatch.store.options import StoreOptions

MAX_GAPS = 50
"""Times without a capture, and times without a sensor, to list in a report, longest first."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The subject of a report: its first and last day, the ids of its bans (none means all of the
    configuration), whether devices are named, and whether blind spots are counted by device. With
    `judges_days`, days on which it was not judged yet who hid lookups are judged for the report,
    which may take minutes; else they are said to be missing."""

    first: date
    last: date
    bans: tuple[str, ...] = ()
    names_devices: bool = False
    thresholds: Thresholds = field(default_factory=Thresholds)
    counts_devices: bool = True
    judges_days: bool = True


def collect(
    catalogue: Catalogue, config: Config, wanted: Wanted, store: StoreOptions | None = None
) -> Report:
    """The report. `store` says where the facts are, without which nothing is said of devices that
    hide their lookups. Raises `ConfigError` for a ban that is not in the configuration, and
    `NetwatchError` if the catalogue fails."""
    bans = _bans(config, wanted.bans)
    days = Days(wanted.first, wanted.last, common_timezone(bans))
    return _Collector(catalogue, config, wanted, days, store).report(bans)


def common_timezone(bans: Iterable[Ban]) -> str:
    """The time zone of bans, or UTC if they have different ones."""
    zones = {ban.timezone for ban in bans}
    return zones.pop() if len(zones) == 1 else UTC_ZONE


def _bans(config: Config, ids: Sequence[str]) -> list[Ban]:
    known = {ban.id: ban for ban in config.policy.bans}
    for id_ in ids:
        if id_ not in known:
            message = f"--ban: expected a ban of the configuration, found '{id_}'"
            hint = did_you_mean(id_, known) or f" (known: {', '.join(known)})"
            raise ConfigError.of("netwatch report", f"{message}{hint}")
    return [ban for ban in known.values() if not ids or ban.id in ids]


def _texts(ban: Ban, periods: Sequence[int]) -> tuple[BanTexts, ...]:
    """The words of a ban by language, with those of some of its periods."""
    return tuple(
        replace(text, bases=tuple(text.bases[place] for place in periods) if text.bases else ())
        for text in ban.texts
    )


class _Collector:
    """Collects one report."""

    def __init__(
        self,
        catalogue: Catalogue,
        config: Config,
        wanted: Wanted,
        days: Days,
        store: StoreOptions | None,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._config = config
        self._wanted = wanted
        self._days = days
        key = PseudonymKey.of(secrets.token_hex(32))
        wide = in_every_zone(days.previous)[0], in_every_zone(days)[1]
        self._judged = judged_coverage(catalogue, *wide)
        self._covering = covering.Covering(self._judged, config, wanted.thresholds)
        self._now = time.time_ns()
        self._names: dict[str, str] = {}
        self._key = None if wanted.names_devices else key
        # Several bans, and several parts of a report, need the same time.
        self._packets = functools.cache(functools.partial(reading.packets, catalogue))
        self._flows = functools.cache(functools.partial(covering.network_flows, self._judged))
        self._by_device = functools.cache(functools.partial(counted_devices, catalogue))
        self._captures = reading.captures(catalogue, in_every_zone(days))

    def report(self, bans: Sequence[Ban]) -> Report:
        """The report on bans."""
        days = self._days
        wide = in_every_zone(days)
        span = in_every_zone(days.previous)[0], wide[1]
        sensors = {capture.run: capture.sensor for capture in self._captures}
        found = told_apart(reading.incidents(self._catalogue, span, self._wanted.bans), sensors)
        known = {ban.id for ban in bans}
        others = Counter(each.ban for each in found if each.ban not in known and is_in(each, days))
        return Report(
            first=days.first.isoformat(),
            last=days.last.isoformat(),
            timezone=days.timezone,
            previous_first=days.previous.first.isoformat(),
            previous_last=days.previous.last.isoformat(),
            made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            netwatch=__version__,
            pseudonyms=not self._wanted.names_devices,
            thresholds=self._wanted.thresholds,
            bans=tuple(
                self._ban(ban, [each for each in found if each.ban == ban.id]) for ban in bans
            ),
            other_bans={} if self._wanted.bans else dict(sorted(others.items())),
            coverage=self._coverage(),
            sources=self._sources(),
            controller=told.controller if (told := self._config.data_protection) else "",
        )

    def _name(self, device: str) -> str:
        """The name of a device in the report. A pseudonym of the store stays as it is."""
        if self._key is None or key_id_of(device):
            return device
        name = self._names.get(device)
        if name is None:
            name = self._names[device] = pseudonym(self._key, "", device)
        return name

    def _ban(self, ban: Ban, found: Sequence[Incident]) -> BanReport:
        days = Days(self._days.first, self._days.last, ban.timezone)
        incidents, left_out = counting.merged(each for each in found if is_in(each, days))
        before, _ = counting.merged(each for each in found if is_in(each, days.previous))
        forbidden = days_in_force(ban, days)
        register = self._config.policy.exemptions
        exemptions = exemption_rows(
            ban, register, incidents, self._name, names_devices=self._wanted.names_devices
        )
        spans = [part.span for _, part in forbidden]
        covered = self._covering.of_ban(ban, spans)
        violations = [incident for incident in incidents if incident.verdict == "violation"]
        inside = [violation for violation in violations if is_within(violation, spans)]
        notes = self._notes(
            ban, days, incidents, sum(exemption.after_expiry for exemption in exemptions)
        )
        if len(inside) < len(violations):
            outside = {"incidents": len(violations) - len(inside)}
            notes.insert(0, Reason("outside-periods", outside))
        if left_out:
            notes.append(Reason("merged", {"incidents": left_out}))
        bound, why_not = self._bound(ban, spans, incidents)
        return BanReport(
            id=ban.id,
            authority=ban.authority,
            legal_basis=ban.legal_basis,
            timezone=ban.timezone,
            review=ban.review.isoformat() if ban.review else None,
            apps=tuple(self._app_names(ban)),
            forbids=tuple(sorted(ban.forbids)),
            advises=tuple(sorted(ban.advises)),
            min_confidence=ban.min_confidence,
            periods=tuple(
                PeriodInForce(part.first.isoformat(), part.last.isoformat(), each.basis)
                for each, part in forbidden
            ),
            days=(
                *ban_days(ban, days),
                *measure_days(ban, self._config.policy.exemptions, days, before, incidents),
            ),
            answer=answer(
                ban,
                sum(part.count for _, part in forbidden),
                days.count,
                [Violation(counting.weight_of(each), each.device) for each in inside],
                self._visible(covered, spans),
                self._wanted.thresholds,
                notes,
            ),
            coverage=covered.coverage,
            totals=counting.totals(incidents, left_out),
            weeks=counting.weekly(
                incidents,
                days,
                functools.partial(covering.captured_hours, self._judged),
                covering.missing_days(self._judged, days),
            ),
            devices=counting.device_rows(incidents, days, self._name),
            exemptions=exemptions,
            change=self._change(ban, days, before, incidents),
            incidents=counting.incident_rows(incidents, self._name),
            texts=_texts(ban, [ban.periods.index(each) for each, _ in forbidden]),
            bound=bound,
            bound_reason=why_not,
        )

    def _bound(
        self, ban: Ban, spans: Sequence[Span], incidents: Sequence[Incident]
    ) -> tuple[Bound | None, Reason | None]:
        """How many contacts can be hidden on the days on which a ban forbids, or why that is
        unknown."""
        if not spans:
            return None, Reason("not-in-force", {})
        if not self._wanted.counts_devices:
            return None, Reason("not-counted", {})
        counted = self._by_device((spans[0][0], spans[-1][1]))
        return bound_of(
            ban, counted, [incident for incident in incidents if is_within(incident, spans)]
        )

    def _app_names(self, ban: Ban) -> list[str]:
        apps = self._config.catalog.apps()
        return sorted(apps[each].name if each in apps else each for each in ban.apps | ban.bypass)

    def _notes(
        self, ban: Ban, days: Days, incidents: Sequence[Incident], after_expiry: int
    ) -> list[Reason]:
        counted = counting.counts(incidents)
        notes = []
        for code, count in (
            ("advisory", counted.advisory),
            ("exempt", counted.exempt),
            ("after-expiry", after_expiry),
        ):
            if count:
                notes.append(Reason(code, {"incidents": count}))
        others = sum(
            bool(incident.bans_version) and incident.bans_version != self._config.bans_version
            for incident in incidents
        )
        if others:
            notes.append(Reason("other-versions", {"incidents": others}))
        beyond = self._packets(days.span).beyond
        if beyond:
            notes.append(Reason("beyond", {"records": beyond}))
        return notes

    def _visible(self, covered: covering.Covered, spans: Sequence[Span]) -> Visible:
        """The coverage of the networks that a ban is about, while it is in force."""
        if not spans:
            return Visible([])
        whole = spans[0][0], spans[-1][1]
        tolerance = self._wanted.thresholds.gap * 1_000_000_000
        packets = self._packets(whole)
        own = [capture for capture in self._captures if overlaps(capture, whole)]
        retention = self._config.retention.incidents if self._config.retention else None
        erased, pruned = reading.deletions(self._catalogue, whole[0], retention)
        lost = packets.dropped + packets.unreadable
        tolerance = self._wanted.thresholds.gap * 1_000_000_000
        unseen = [
            network
            for network in covered.networks
            if not network.is_known and network.captured != network.wanted
        ]
        holes = bits_or(
            network.missing["not-captured"] for network in covered.networks if network.is_known
        )
        quiet = [
            (sensor, span)
            for sensor, span in reading.silences(self._catalogue, whole, self._now)
            if span[1] - span[0] > tolerance
        ]
        return Visible(
            networks=[
                network_row(covering.flows_of(network))
                for network in covered.networks
                if network.flows
            ],
            unseen=[each.network.name for each in unseen],
            gaps=sum(1 for _ in runs(holes)),
            gap_hours=holes.bit_count() / QUARTERS,
            lost_hours=covered.hours("lost"),
            unjudged_hours=covered.hours("not-judged"),
            command=covered.command,
            silent=covered.by_network("silent"),
            by_flows=covered.by_flows,
            by_logs=covered.by_logs,
            unreadable=covered.by_network("unreadable"),
            silent_sensors=len({sensor for sensor, _ in quiet}),
            silent_hours=sum(end - begin for _, (begin, end) in quiet) / HOUR,
            packets_lost=lost / (packets.seen + packets.dropped) if lost else 0.0,
            partial_captures=sum(each.state == "partial" for each in own),
            lost_rows=sum(each.lost_rows for each in own),
            pruned=pruned,
            erased=erased,
        )

    def _change(
        self, ban: Ban, days: Days, before: Sequence[Incident], after: Sequence[Incident]
    ) -> Change:
        shares = []
        for each in (days.previous, days):
            flows = self._flows(each.span)
            shares.append({row.network: network_row(row) for row in flows if row.flows})
        networks = sorted({each.network for each in (*before, *after)} | set(shares[1]))
        old, new = {each.device for each in before}, {each.device for each in after}
        hours = [
            covering.captured_networks(self._judged, each.span) for each in (days.previous, days)
        ]
        captured = [
            covering.captured_hours(self._judged, each.span) for each in (days.previous, days)
        ]
        by_app = [counting.by(each, lambda one: one.app) for each in (before, after)]
        return Change(
            before=counting.counts(before) if before or captured[0] else None,
            after=counting.counts(after) if after or captured[1] else None,
            named_before=named_share(shares[0].values()),
            named_after=named_share(shares[1].values()),
            networks={
                name: NetworkChangeRow(
                    *(
                        sum(each.network == name for each in found)
                        or (0 if known.get(name) else None)
                        for found, known in zip((before, after), hours, strict=True)
                    ),
                    *(share[name].named_share if name in share else None for share in shares),
                )
                for name in networks
            },
            apps={
                app: tuple(each.get(app, counting.counts(())) for each in by_app)  # type: ignore[misc]
                for app in sorted({*by_app[0], *by_app[1]})
            },
            devices_new=len(new - old),
            devices_gone=len(old - new),
            devices_again=len(old & new),
            hours_before=captured[0],
            hours_after=captured[1],
        )

    def _coverage(self) -> Coverage:
        span = self._days.span
        packets = self._packets(span)
        missing = covering.holes(self._judged, span, self._wanted.thresholds.gap)
        missing.sort(key=lambda gap: gap[0] - gap[1])
        listed = sorted(missing[:MAX_GAPS])
        own = [each for each in self._captures if overlaps(each, span)]
        quiet = reading.silences(self._catalogue, span, self._now)
        quiet.sort(key=lambda each: each[1][0] - each[1][1])
        return Coverage(
            networks=tuple(network_row(each) for each in self._flows(span)),
            by_device=blind_devices(
                self._by_device(span), self._wanted.thresholds.unnamed, self._name
            )
            if self._wanted.counts_devices
            else None,
            records=packets.records,
            beyond=packets.beyond,
            packets=packets.seen,
            packets_dropped=packets.dropped,
            packets_unreadable=packets.unreadable,
            hours=covering.captured_hours(self._judged, span),
            hours_of_period=round((span[1] - span[0]) / HOUR, 2),
            gaps=tuple(
                Gap(rfc3339(begin, 0), rfc3339(end, 0), round((end - begin) / HOUR, 2))
                for begin, end in listed
            ),
            gaps_left=len(missing) - len(listed),
            silences=tuple(
                SensorSilence(
                    sensor, rfc3339(begin, 0), rfc3339(end, 0), round((end - begin) / HOUR, 2)
                )
                for sensor, (begin, end) in sorted(
                    quiet[:MAX_GAPS], key=lambda each: (each[1], each[0])
                )
            ),
            silences_left=max(0, len(quiet) - MAX_GAPS),
            bypasses=self._bypasses(),
            partial_captures=sum(each.state == "partial" for each in own),
            lost_rows=sum(each.lost_rows for each in own),
        )

    def _bypasses(self) -> Bypasses | None:
        """The devices that hid their lookups. Their days are those of UTC."""
        if self._store is None or not self._wanted.counts_devices:
            return None
        span = Days(self._days.first, self._days.last, UTC_ZONE).span
        return hiding_devices(
            self._catalogue, self._store, self._config, span, self._name,
            counts=self._wanted.judges_days,
        )  # fmt: skip

    def _sources(self) -> Sources:
        span = self._days.span
        own = [
            capture
            for capture in self._captures
            if overlaps(capture, span) or capture.state == "open"
        ]
        sensor = self._config.sensor
        return Sources(
            store=reading.store_id(self._catalogue),
            sensors=tuple(
                sorted({*(each.sensor for each in own), *reading.sensors(self._catalogue, span)})
            ),
            configuration=VersionRow(sensor.version, sensor.signatures, sensor.bans, sensor.policy),
            versions=tuple(
                VersionRow(*version)
                for version in reading.versions(self._catalogue, {each.run for each in own})
            ),
            captures=tuple(
                CaptureRow(
                    source["path"],
                    source.get("size"),
                    source.get("sha256") or "",
                    rfc3339(each.first, 0) if each.first is not None else None,
                    rfc3339(each.last, 0) if each.last is not None else None,
                    each.state,
                )
                for each in own
                for source in each.sources
            ),
        )
