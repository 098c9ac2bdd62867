"""Reads what a report needs from the catalogue of a store, by days: whole days in a time zone, and
how a ban's days lie in them. Facts are not read: decisions are in incidents, and what was seen is
in the sums of coverage.

Devices of several sites with the same address are told apart.

Alerts call a device without other names by its address, and sites often have the same ones. In a
report such a device is its address with the network, so that it is never counted, listed or merged
with another one. The built-in network has the same name at every site: there the sensors that saw
an incident replace it.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import func, or_, select

from netwatch.core.addresses import parse_ip
from netwatch.core.alert import UNHEARD, AlertRecord, sampling_of
from netwatch.core.message import LOOKUPS
from netwatch.core.period import Period, period
from netwatch.core.verdict import Ban, BanPeriod
from netwatch.coverage.flow_visibility import FLOW_RECORD_LOGS
from netwatch.inventory.networks import BUILT_IN
from netwatch.store import catalogue_tables as tables
from netwatch.store import fleet_sensors
from netwatch.store.cases import has_cases
from netwatch.store.catalogue import Catalogue
from netwatch.store.erasing import is_erasure
from netwatch.store.views import shown_incidents, streamed

_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Span = tuple[int, int]
"""A time from the first up to, but without, the second, in ns since the epoch."""

_HEAD = 1 << 14
"""Characters of a record of coverage that contain its packets: networks come after them."""

_decode = json.JSONDecoder().raw_decode


@dataclass(frozen=True, slots=True)
class Days:
    """The days from `first` to `last`, both included, in `timezone` (IANA name)."""

    first: date
    last: date
    timezone: str

    @property
    def span(self) -> Span:
        """From the beginning of the first day to the end of the last. Days on which clocks change
        have 23 or 25 hours."""
        return ended(period(self.first, self.last, self.timezone))

    @property
    def count(self) -> int:
        """How many days there are."""
        return (self.last - self.first).days + 1

    @property
    def previous(self) -> "Days":
        """As many days before these."""
        last = self.first - _DAY
        return Days(last - timedelta(days=self.count - 1), last, self.timezone)

    @property
    def mondays(self) -> list[date]:
        """The first days of the weeks that these days are in."""
        monday = monday_of(self.first)
        return [
            monday + timedelta(weeks=number) for number in range((self.last - monday).days // 7 + 1)
        ]

    def day_of(self, time: int) -> date:
        """The day of a time (ns) in the time zone."""
        return local(time, self.timezone).date()

    def within(self, first: date | None, last: date | None) -> "Days | None":
        """The part of these days that is in a period; None if there is none."""
        begin = self.first if first is None else max(first, self.first)
        end = self.last if last is None else min(last, self.last)
        return Days(begin, end, self.timezone) if begin <= end else None


def monday_of(day: date) -> date:
    """The first day of the week of a day."""
    return day - timedelta(days=day.weekday())


def local(time: int, timezone: str) -> datetime:
    """A time (ns) on the clock of a time zone, to the microsecond."""
    moment = _EPOCH + timedelta(microseconds=time // 1000)
    return moment.astimezone(ZoneInfo(timezone))


def ended(wanted: Period) -> Span:
    """A period with both ends."""
    assert wanted.start is not None
    assert wanted.end is not None
    return wanted.start, wanted.end


def days_in_force(ban: Ban, days: Days) -> list[tuple[BanPeriod, Days]]:
    """The days on which a ban forbids, from its periods. Periods in which the authority only
    advised are left out, as are all if the ban forbids nothing to any class."""
    if not ban.forbids:
        return []
    found = []
    for each in ban.periods:
        part = days.within(each.start, each.end)
        if part is not None and not each.advice:
            found.append((each, part))
    return found


@dataclass(frozen=True, slots=True)
class Incident:
    """What a report needs from the record of an incident, or of a case at a centre; times are ns. A
    case has the sensors that saw it in `seen_by`, the evidence that they saw one incident in
    `joined_by`, and 0 as its `run`. `server` tells what was seen of servers (`server_seen`),
    `unheard` when a sensor was last heard whose silence has closed it, otherwise empty
    (`netwatch.store.unheard`). `by_flows` says that of its connections nothing but flow records are
    known. For some of its evidence one packet of `sampling` was looked at."""

    id: str
    run: int
    ban: str
    verdict: str
    confidence: str
    kind: str
    outcome: str
    app_id: str
    app: str
    device: str
    addresses: tuple[str, ...]
    network: str
    device_class: str
    first_seen: int
    last_seen: int
    exemption: Mapping[str, Any] | None
    bans_version: str
    seen_by: tuple[str, ...] = ()
    joined_by: str = ""
    server: str = ""
    unheard: str = ""
    by_flows: bool = False
    sampling: int = 1


@dataclass(frozen=True, slots=True)
class NetworkFlows:
    """The flows of a network: how many, those with a name, the others by reason, and those
    ``one-of-k`` by their k."""

    network: str
    device_class: str
    flows: int
    named: int
    unnamed: Mapping[str, int]
    one_of: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Packets:
    """Records of coverage of a time, how many of them extend beyond it, and their packets."""

    records: int
    beyond: int
    seen: int
    dropped: int
    unreadable: int


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture of a run that judged: `first` and `last` are None while it continues."""

    run: int
    sensor: str
    sources: tuple[Mapping[str, Any], ...]
    state: str
    first: int | None
    last: int | None
    lost_rows: int


def incidents(catalogue: Catalogue, span: Span, bans: Collection[str] = ()) -> Iterator[Incident]:
    """The incidents that began in a time: those of some bans, or all of them. At a centre an
    incident seen by several sensors is one, a case."""
    columns, member = tables.incident.c, tables.fleet_case_incident.c
    statement = shown_incidents().where(columns.first_seen >= span[0], columns.first_seen < span[1])
    if has_cases(catalogue):
        yield from _cases(catalogue, span, bans)
        in_case = select(member.case).where(member.incident == columns.id).exists()
        statement = statement.where(~in_case)
    if bans:
        statement = statement.where(columns.ban.in_(sorted(bans)))
    wanted = (
        columns.id, columns.run, columns.ban, columns.verdict, columns.confidence, columns.kind,
        columns.outcome, columns.device, columns.network, columns.first_seen, columns.last_seen,
        columns.record,
    )  # fmt: skip
    for row in streamed(catalogue, statement.with_only_columns(*wanted)):
        yield _incident(*row)


def _cases(catalogue: Catalogue, span: Span, bans: Collection[str]) -> Iterator[Incident]:
    columns = tables.fleet_case.c
    statement = (
        select(
            columns.id, columns.ban, columns.verdict, columns.confidence, columns.kind,
            columns.outcome, columns.device, columns.network, columns.first_seen,
            columns.last_seen, columns.record, columns.joined_by,
        )
        .where(columns.first_seen >= span[0], columns.first_seen < span[1])
        .order_by(columns.first_seen, columns.id)
    )  # fmt: skip
    if bans:
        statement = statement.where(columns.ban.in_(sorted(bans)))
    for id_, *row, joined_by in streamed(catalogue, statement):
        yield replace(_incident(id_, 0, *row), joined_by=joined_by)


def _incident(
    id_: str, run: int, ban: str, verdict: str, confidence: str, kind: str, outcome: str,
    device_id: str, network: str, first: int, last: int, text: str,
) -> Incident:  # fmt: skip
    """An incident from its columns and the rest from its record."""
    record = orjson.loads(text)
    app, device = record["app"], record["device"]
    return Incident(
        id=id_,
        run=run,
        ban=ban,
        verdict=verdict,
        confidence=confidence,
        kind=kind,
        outcome=outcome,
        app_id=app["id"],
        app=app["name"],
        device=device_id,
        addresses=tuple(each for each in (device["id"], device["ip"], device["mac"]) if each),
        network=network,
        device_class=device["class"],
        first_seen=first,
        last_seen=last,
        exemption=record["exemption"],
        bans_version=record.get("versions", {}).get("bans", ""),
        seen_by=tuple(dict.fromkeys(each["sensor"] for each in record.get("seen_by", ()))),
        server=server_seen(record),
        unheard=record.get(UNHEARD, {}).get("since", ""),
        by_flows=is_by_flows(record),
        sampling=max(map(sampling_of, record.get("evidence", ())), default=1),
    )


def server_seen(record: AlertRecord) -> str:
    """What the evidence in a record shows of servers: that one took part, that one was seen but did
    not take part, or only what the client has sent. Empty for an older record."""
    found = [
        seen for each in record.get("evidence", ()) if isinstance(seen := each.get("seen"), dict)
    ]
    if any(seen.get("server") is True for seen in found):
        return "acknowledged"
    if not found:
        return ""
    is_seen = any(seen.get("directions") in ("both", "server") for seen in found)
    return "not-acknowledged" if is_seen else "client-only"


def is_by_flows(record: AlertRecord) -> bool:
    """Whether of the connections of an incident nothing but flow records are known, which have no
    names. One of lookups alone has no connection."""
    of_records = [
        (each.get("log") or {}).get("format") in FLOW_RECORD_LOGS
        for each in record.get("evidence", ())
        if each.get("type") not in LOOKUPS
    ]
    return bool(of_records) and all(of_records)


def packets(catalogue: Catalogue, span: Span) -> Packets:
    """The packets of all records of coverage that overlap a time."""
    columns = tables.coverage.c
    statement = select(columns.first, columns.last, func.substr(columns.record, 1, _HEAD)).where(
        columns.last >= span[0], columns.first < span[1]
    )
    records = beyond = seen = dropped = unreadable = 0
    for first, last, text in streamed(catalogue, statement):
        records += 1
        beyond += first < span[0] or last >= span[1]
        at = text.find('"packets":')
        if at >= 0:
            counts, _ = _decode(text, at + len('"packets":'))
            seen += counts["seen"]
            dropped += counts["dropped"]
            unreadable += sum(counts["unreadable"].values())
    return Packets(records, beyond, seen, dropped, unreadable)


def captures(catalogue: Catalogue, span: Span) -> list[Capture]:
    """The captures of runs that judged, with packets in a time; and those that still continue."""
    capture, run = tables.capture.c, tables.run.c
    statement = (
        select(
            capture.run, run.sensor, capture.sources, capture.state, capture.first, capture.last,
            capture.lost_rows,
        )
        .select_from(tables.capture.join(tables.run, capture.run == run.id))
        .where(
            run.command != "names",
            or_(
                (capture.last >= span[0]) & (capture.first < span[1]),
                capture.state == "open",
            ),
        )
        .order_by(capture.first, capture.run, capture.position)
    )  # fmt: skip
    return [
        Capture(run, sensor, tuple(json.loads(sources)), state, first, last, int(lost))
        for run, sensor, sources, state, first, last, lost in streamed(catalogue, statement)
    ]


def silences(catalogue: Catalogue, span: Span, now: int) -> list[tuple[str, Span]]:
    """The parts of a time in which sensors of a fleet were not heard, until `now` (ns)."""
    found = []
    for silence in fleet_sensors.silences(catalogue, *span):
        begin, end = max(silence.since, span[0]), min(silence.until or now, span[1])
        if begin < end:
            found.append((silence.sensor, (begin, end)))
    return found


def sensors(catalogue: Catalogue, span: Span) -> list[str]:
    """The sensors that were enrolled before the end of a time."""
    return [
        each.name
        for each in fleet_sensors.roster(catalogue)
        if each.enrolled is not None and each.enrolled < span[1]
    ]


def versions(catalogue: Catalogue, runs: set[int]) -> list[tuple[str, str, str, str]]:
    """What decided in runs: netwatch, signatures, bans and configuration."""
    version, run = tables.version.c, tables.run.c
    statement = (
        select(run.id, version.netwatch, version.signatures, version.bans, version.configuration)
        .select_from(tables.run.join(tables.version, run.version == version.id))
        .order_by(version.id)
    )
    rows = streamed(catalogue, statement)
    return list(dict.fromkeys(tuple(row[1:]) for row in rows if row[0] in runs))


def store_id(catalogue: Catalogue) -> str:
    """The id of a store."""
    with catalogue.database.reading() as connection:
        return str(connection.execute(select(tables.store.c.id)).scalar_one())


def deletions(catalogue: Catalogue, since: int, retention: int | None) -> tuple[int, bool]:
    """How many erasures of persons there were after `since` (ns), and whether incidents after it
    were deleted by age, with the `retention` (s) of the configuration. Older versions of netwatch
    also noted an erasure of someone without data; it does not count."""
    columns = tables.journal.c
    statement = select(columns.time, columns.action, columns.detail).where(columns.time >= since)
    erased, pruned = 0, False
    for time, action, detail in streamed(catalogue, statement):
        erased += action == "erase" and is_erasure(json.loads(detail))
        if action == "prune" and retention is not None:
            pruned |= time - retention * 1_000_000_000 > since
    return erased, pruned


def told_apart(incidents: Iterable[Incident], sensors: Mapping[int, str]) -> list[Incident]:
    """The incidents; if an address is known in several places, the device's name includes the
    place. `sensors` are the sensors of runs by number."""
    found = list(incidents)
    places: defaultdict[str, set[str]] = defaultdict(set)
    for each in found:
        if parse_ip(each.device) is not None:
            places[each.device].add(_place(each, sensors))
    return [
        replace(each, device=f"{each.device} ({_place(each, sensors)})")
        if len(places.get(each.device, ())) > 1
        else each
        for each in found
    ]


def _place(incident: Incident, sensors: Mapping[int, str]) -> str:
    if incident.network != BUILT_IN:
        return incident.network
    seen_by = incident.seen_by or tuple(filter(None, [sensors.get(incident.run)]))
    return ", ".join(seen_by) or incident.network
