"""The flows of devices, counted from the records of coverage, the devices most of whose flows could
not be read or that hid their lookups, and how many contacts with the apps of a ban such flows could
hide.

Each record has the flows of each device, so a long period of a large network is very large. As much
as can be read in seconds is read, evenly over the period, and the report says how much.

The bound is `netwatch.coverage.missing`'s, from these flows and from the incidents of the ban.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, tuple_

from netwatch.config import Config
from netwatch.core.addresses import parse_ip
from netwatch.core.verdict import Ban
from netwatch.coverage.bypass import REASONS as HIDING_REASONS
from netwatch.coverage.missing import LEVEL, DeviceFlows, NoBound, hidden_bound
from netwatch.engine.facts_process import known_addresses
from netwatch.formats.bypass import BypassRecord, codes, past_share
from netwatch.report.counting import Naming
from netwatch.report.covering import concerns
from netwatch.report.reading import Incident, Span
from netwatch.report.values import BlindDeviceRow, BlindDevices, Bound, Bypasses, BypassRow, Reason
from netwatch.store import catalogue_tables as tables
from netwatch.store.bypass_days import DAY, BypassRecords, bypass_records
from netwatch.store.catalogue import Catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.views import FilesError, streamed

MAX_CHARACTERS = 128 << 20
"""Characters of records of coverage to read; of more only every second, third, … record."""

MAX_BATCH, BATCH_CHARACTERS = 100, 4 << 20
"""Records to read at a time, and their characters unless a single one has more."""

MAX_COUNTED = 65_536
"""Devices to count; flows of more are left out, and their devices are counted as left."""

MAX_LISTED = 50
"""Devices that a report lists, those with most flows without a name first."""

MIN_FLOWS = 20
"""Flows with content that a device must have: a share of fewer means nothing."""

REASONS = (
    "not-in-force",
    "not-counted",
    "not-all-devices",
    "no-names",
    "tunnels",
    "hides-all",
    "many-contacts",
)
"""The codes of reasons why there is no bound."""

ASSUMPTION = (
    "Each device hides the names of its contacts with these apps as often as the names of its other"
    " flows."
)

_TUNNELS = ("vpn", "relay", "tor")


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A device in a network; its id is empty for those beyond the limit of a record."""

    network: str
    device_class: str
    device: str


@dataclass(frozen=True, slots=True)
class CountedDevices:
    """The flows of devices by reason, those with a name under ``""``: from `read` of the `records`
    of coverage. `uncounted` is how often a device was not counted because there were too many."""

    flows: Mapping[DeviceKey, Mapping[str, int]]
    records: int
    read: int
    uncounted: int


def counted_devices(catalogue: Catalogue, span: Span) -> CountedDevices:
    """The flows of the devices in all records of coverage that overlap a time."""
    flows: defaultdict[DeviceKey, Counter[str]] = defaultdict(Counter)
    records, read, left = _count(catalogue, span), 0, 0
    for text in _texts(catalogue, span):
        read += 1
        for key, counts in _devices(json.loads(text)):
            if key in flows or len(flows) < MAX_COUNTED:
                counted = flows[key]
                for reason, count in counts.items():
                    counted[reason] += count
            else:
                left += 1
    return CountedDevices(flows, records, read, left)


def blind_devices(counted: CountedDevices, least_share: float, name: Naming) -> BlindDevices:
    """The devices with more than `least_share` of their flows with content without a readable name.
    `name` returns their names in the report."""
    flows = {key: counts for key, counts in counted.flows.items() if key.device}
    networks = Counter(key.device for key in flows)
    rows = []
    for key, counts in flows.items():
        # The same address in several networks is several devices.
        is_shared = networks[key.device] > 1 and parse_ip(key.device) is not None
        device = f"{key.device} ({key.network})" if is_shared else key.device
        if (row := _row(key, counts, least_share, name(device))) is not None:
            rows.append(row)
    rows.sort(key=lambda row: (-sum(row.unnamed.values()), row.network, row.device))
    return BlindDevices(
        tuple(rows[:MAX_LISTED]),
        max(0, len(rows) - MAX_LISTED),
        counted.records,
        counted.read,
        counted.uncounted,
    )


def _overlapping(span: Span) -> Any:
    columns = tables.coverage.c
    return (columns.last >= span[0]) & (columns.first < span[1])


def _count(catalogue: Catalogue, span: Span) -> int:
    with catalogue.database.reading() as connection:
        statement = select(func.count()).select_from(tables.coverage).where(_overlapping(span))
        return int(connection.execute(statement).scalar_one())


def _texts(catalogue: Catalogue, span: Span) -> Iterator[str]:
    """The records that are read, in the order of time."""
    columns = tables.coverage.c
    keys = (columns.run, columns.part)
    statement = select(*keys, func.length(columns.record)).where(_overlapping(span))
    found = list(streamed(catalogue, statement.order_by(columns.first, *keys)))
    step = -(-sum(length for _, _, length in found) // MAX_CHARACTERS) or 1
    for batch in _batches(found[step // 2 :: step]):
        several = select(*keys, columns.record).where(tuple_(*keys).in_(batch))
        with catalogue.database.reading() as connection:
            texts = {(run, part): text for run, part, text in connection.execute(several)}
        # Retention may have deleted some meanwhile.
        yield from (texts[key] for key in batch if key in texts)


def _batches(found: Sequence[Any]) -> Iterator[list[tuple[int, int]]]:
    """The keys of records to read at a time: a query for each hour of a year takes longer than
    reading its record."""
    batch: list[tuple[int, int]] = []
    characters = 0
    for run, part, length in found:
        if length > MAX_CHARACTERS:
            continue
        if batch and (len(batch) == MAX_BATCH or characters + length > BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append((run, part))
        characters += length
    if batch:
        yield batch


def _devices(record: Mapping[str, Any]) -> Iterator[tuple[DeviceKey, Mapping[str, int]]]:
    """The devices of a record, with their flows by reason; those with a name under ``""``."""
    for network in record.get("networks", ()):
        for each in (*network["devices"], {"id": "", **network["rest"]}):
            if each["flows"]:
                key = DeviceKey(network["name"], network["class"], each["id"])
                yield key, {"": each["named"], **each["unnamed"]}


def _row(
    key: DeviceKey, counts: Mapping[str, int], least_share: float, name: str
) -> BlindDeviceRow | None:
    """The row of a device; None if enough of its flows had a name, or there are too few."""
    unnamed = {
        reason: count
        for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if count and reason not in ("", "no-data")
    }
    hidden = sum(unnamed.values())
    flows = counts.get("", 0) + hidden
    if flows < MIN_FLOWS or hidden / flows <= least_share:
        return None
    return BlindDeviceRow(name, key.network, key.device_class, flows, unnamed, hidden / flows)


def bound_of(
    ban: Ban, counted: CountedDevices, incidents: Iterable[Incident]
) -> tuple[Bound | None, Reason | None]:
    """The bound for a ban, or the reason why there is none; `incidents` are the ban's in the time
    in which flows are counted."""
    if counted.uncounted or counted.read < counted.records:
        return None, Reason("not-all-devices", {})
    contacts = {
        (incident.network, address)
        for incident in incidents
        for address in (*incident.addresses, incident.device)
    }
    flows = {
        key: counts
        for key, counts in counted.flows.items()
        if concerns(ban, key.network, key.device_class)
    }
    if any(not key.device for key in flows):
        return None, Reason("not-all-devices", {})
    found = hidden_bound(_of_device(key, counts, contacts) for key, counts in flows.items())
    if isinstance(found, NoBound):
        return None, Reason(found.code, found.values)
    return Bound(found.contacts, LEVEL, ASSUMPTION, found.named, found.unread), None


def _of_device(
    key: DeviceKey, counts: Mapping[str, int], contacts: set[tuple[str, str]]
) -> DeviceFlows:
    return DeviceFlows(
        named=counts.get("", 0),
        unread=sum(count for reason, count in counts.items() if reason not in ("", "no-data")),
        contacts=int((key.network, key.device) in contacts),
        tunnels=sum(counts.get(reason, 0) for reason in _TUNNELS),
    )


MAX_HIDING = 50
"""Devices that a report lists, those with most days first."""


def hiding_devices(
    catalogue: Catalogue,
    options: StoreOptions,
    config: Config,
    span: Span,
    name: Naming,
    *,
    counts: bool = True,
) -> Bypasses:
    """The devices, with their days in a time (ns). `name` gives their names in the report. Where
    the files of facts cannot be read, no day was looked at: all else is in the catalogue. Days that
    were not judged yet are looked at if it `counts`. Raises `NetwatchError`."""
    try:
        known = known_addresses(config)
        found = bypass_records(catalogue, options, *span, known, now=time.time_ns(), counts=counts)
    except FilesError:
        found = BypassRecords((), unread=(span[1] - span[0]) // DAY)
    by_device: defaultdict[tuple[str, str, str], list[BypassRecord]] = defaultdict(list)
    for each in found.found:
        device = each["device"]
        by_device[device["network"], device.get("sensor", ""), device["id"]].append(each)
    rows = [_hiding_row(of_device, name) for of_device in by_device.values()]
    rows.sort(key=lambda row: (-row.days, row.network, row.device))
    left = max(0, len(rows) - MAX_HIDING)
    return Bypasses(tuple(rows[:MAX_HIDING]), left, found.judged, found.unread)


def _hiding_row(found: list[BypassRecord], name: Naming) -> BypassRow:
    """The row of a device."""
    last = found[-1]
    contacts, untold = (sum(each[key] for each in found) for key in ("contacts", "untold"))
    said = {code for each in found for code in codes(each)}
    return BypassRow(
        device=name(last["device"]["id"]),
        network=last["device"]["network"],
        device_class=last["device"]["class"],
        first=found[0]["day"],
        last=last["day"],
        days=len(found),
        contacts=contacts,
        untold=untold,
        share=untold / contacts,
        low=min(each["interval"][0] for each in found),
        past_share=past_share(last),
        others_share=last["others"]["median"] if last["others"] else None,
        reasons=tuple(code for code in HIDING_REASONS if code in said),
    )
