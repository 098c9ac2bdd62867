"""Everything that is held on one device: what, from when to when, how much, and how long each kind
is kept (GDPR article 15), and all of it for a copy.

Who asks may name an id, an address, a MAC, a host name, an owner or a pseudonym. What the inventory
knows under that word, and the pseudonyms that the keys of the configuration make of it, count too.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import Connection, and_, func, or_, select

from netwatch.console.audit import Entry as Look
from netwatch.console.console import Console
from netwatch.core.addresses import ip_text, mac_text, parse_ip, parse_mac
from netwatch.formats.bypass import day_number
from netwatch.formats.flow_rows import flow_record
from netwatch.formats.line_writer import observation_record
from netwatch.formats.values import rfc3339
from netwatch.inventory.entry_table import Entry
from netwatch.privacy import pseudonym
from netwatch.store import catalogue_tables as tables
from netwatch.store.bypass_days import DAY
from netwatch.store.bypass_rows import PERSONAL, client_names, kept_records
from netwatch.store.cases import is_centre
from netwatch.store.claims import claim_record
from netwatch.store.database import QueryTimeoutError
from netwatch.store.device_facts import FACT_TABLES
from netwatch.store.incident_pages import FEW
from netwatch.store.incident_words import places_called
from netwatch.store.queries import flows, observations
from netwatch.store.statements import (
    Filter,
    client_places,
    device_clients,
)

Code = Literal["inventory", "client", "observation", "flow", "claim", "incident", "case",
               "triage", "evidence", "coverage", "bypass", "audit"]  # fmt: skip
"""The kinds of data, in the order of the page."""

Rule = Literal["time", "facts", "yours", "record"]
"""How long a kind is kept: for a time after its date; while there are facts; as long as the owner
of a file decides; as long as the rules for such records ask."""

_LOOKS = 10_000


@dataclass(frozen=True, slots=True)
class HeldKind:
    """A kind of data on the device, in a `network` as a `sensor` saw it if that is known. There
    are so many `rows`, None if they could not be counted in time, from `first` to `last` (ns),
    None if they have no time. With the rule ``time`` they are kept for `seconds`, None without
    end."""

    code: Code
    rows: int | None
    first: int | None = None
    last: int | None = None
    network: str = ""
    sensor: str = ""
    rule: Rule = "time"
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What is held: by what the device is known (`ids`), its rows in the inventory, the numbers of
    its addresses, what there is of each kind, and who looked, the newest first."""

    device: str
    ids: tuple[str, ...]
    entries: tuple[Entry, ...]
    clients: tuple[int, ...]
    kinds: tuple[HeldKind, ...]
    looks: tuple[Look, ...]

    @property
    def subjects(self) -> frozenset[str]:
        """What the audit calls the device."""
        return subjects_of(self.ids)


def held(console: Console, device: str, timeout: float) -> Held:
    """What is held on a device. No query takes longer than `timeout` s."""
    entries = tuple(entry for entry in console.config.devices.entries if _is_meant(entry, device))
    ids = _ids(console, device, entries)
    clients = _clients(console, device, ids, entries)
    looks = looks_at(console, ids)
    kinds = [
        HeldKind("inventory", len(entries), rule="yours"),
        *_facts(console, clients, timeout),
        *_decided(console, ids, timeout),
        _triage(console, ids),
        *_bypasses(console, (*ids, *client_names(console.catalogue, clients))),
        HeldKind(
            "audit", len(looks), looks[-1].time if looks else None,
            looks[0].time if looks else None, rule="record",
        ),
    ]  # fmt: skip
    return Held(device, ids, entries, clients, tuple(kinds), looks)


def _is_meant(entry: Entry, word: str) -> bool:
    """Whether a word names the device of a row of the inventory."""
    lower = word.lower()
    names = (entry.id, entry.hostname, entry.owner)
    if any(name is not None and name.lower() == lower for name in names):
        return True
    ip = parse_ip(word)
    return (ip is not None and ip in entry.ips) or entry.has_mac(parse_mac(word))


def _ids(console: Console, device: str, entries: Sequence[Entry]) -> tuple[str, ...]:
    """What incidents and coverage may call the device: ids and pseudonyms."""
    found = {device: None, **dict.fromkeys(entry.id for entry in entries)}
    words = [*found]
    for entry in entries:
        words += [*map(ip_text, entry.ips), *map(mac_text, entry.macs)]
    privacy = console.config.privacy
    if privacy is not None:
        networks = sorted({scope.network.name for scope in console.config.networks.scopes})
        for key in privacy.keys.keys:
            made = (pseudonym(key, network, word) for network in networks for word in words)
            found |= dict.fromkeys(made)
    return tuple(found)


def _clients(
    console: Console, device: str, ids: Sequence[str], entries: Sequence[Entry]
) -> tuple[int, ...]:
    """The numbers of its addresses: those of the inventory, and those at which its incidents
    were."""
    catalogue = console.catalogue
    addresses = [(ip, None) for entry in entries for ip in entry.ips]
    addresses += [(None, mac) for entry in entries for mac in entry.macs]  # type: ignore[misc]
    found: set[int] = set()
    for word in dict.fromkeys([device, *ids]):
        with catalogue.database.reading() as connection:
            seen = places_called(connection, word, ids)
        wanted = Filter(device=word, addresses=tuple(addresses))
        found.update(device_clients(catalogue, wanted, seen))
    return tuple(sorted(found))


def _facts(console: Console, clients: Sequence[int], timeout: float) -> Iterator[HeldKind]:
    """Its addresses and facts, by where they are."""
    retention = console.config.retention
    kept = retention.observations if retention else None
    classes = {scope.network.name: scope.network.device_class
               for scope in console.config.networks.scopes}  # fmt: skip
    places = client_places(console.catalogue, clients)
    if not places:
        yield HeldKind("client", 0, rule="facts")
        yield from (HeldKind(table, 0, seconds=kept) for table in FACT_TABLES)
    for place, numbers in places.items():
        yield HeldKind(
            "client", len(numbers), network=place.network, sensor=place.sensor, rule="facts"
        )
        seconds = kept
        if retention and classes.get(place.network) in PERSONAL:
            times = [time for time in (kept, retention.personal) if time is not None]
            seconds = min(times, default=None)
        try:
            spans = console.device_facts.spans(numbers, timeout)
        except QueryTimeoutError:
            spans = {}
        for table in FACT_TABLES:
            span = spans.get(table)
            yield HeldKind(
                table, span.rows if span else None, span.first if span else None,
                span.last if span else None, place.network, place.sensor, seconds=seconds,
            )  # fmt: skip


def _decided(console: Console, ids: Sequence[str], timeout: float) -> Iterator[HeldKind]:
    """What was decided and counted of it, and the evidence."""
    retention = console.config.retention
    kept = retention.incidents if retention else None
    case, evidence, coverage = tables.fleet_case.c, tables.evidence.c, tables.coverage.c
    with console.catalogue.database.reading(timeout) as connection:
        incidents = _incidents(connection, ids, kept)
        yield incidents
        count = select(func.count()).select_from(tables.evidence)
        are_fewer = (incidents.rows or 0) <= int(connection.execute(count).scalar_one())
    of_device = _is_evidence(ids, begin_with_incidents=are_fewer)
    asked: list[tuple[Code, Any, Any, Any, int | None]] = [
        ("case", case.first_seen, case.last_seen, case.device.in_(sorted(ids)), kept),
        ("evidence", evidence.stored, evidence.stored, of_device,
         retention.evidence if retention else None),
        ("coverage", coverage.first, coverage.last, _names_device(sorted(ids)), kept),
    ]  # fmt: skip
    has_cases = is_centre(console.catalogue)
    with console.catalogue.database.reading(timeout) as connection:
        for code, begin, end, where, seconds in asked:
            if code == "case" and not has_cases:
                continue
            statement = select(func.count(), func.min(begin), func.max(end)).where(where)
            rows, first, last = connection.execute(statement).one()
            yield HeldKind(code, rows, first, last, seconds=seconds)


def _incidents(connection: Connection, ids: Sequence[str], kept: int | None) -> HeldKind:
    column = tables.incident_device.c
    count = func.sum(column.violation + column.advisory + column.exempt)
    statement = select(count, func.min(column.first_seen), func.max(column.last_seen)).where(
        column.device.in_(sorted(ids))
    )
    rows, first, last = connection.execute(statement).one()
    return HeldKind("incident", int(rows or 0), first, last, seconds=kept)


def _is_evidence(ids: Sequence[str], *, begin_with_incidents: bool) -> Any:
    """The condition that evidence is of an incident of one of these devices. Their incidents are
    looked for, or for each evidence its incident alone: what is computed is in no index."""
    incident, evidence = tables.incident.c, tables.evidence.c
    own = select(incident.id)
    if begin_with_incidents:
        is_own = incident.device.in_(sorted(ids)) & (incident.shown == 1)
        return evidence.incident.in_(own.where(is_own))
    is_own = incident.device.concat("").in_(sorted(ids)) & (incident.shown + 0 == 1)
    return own.where(incident.id == evidence.incident, is_own).exists()


def _triage(console: Console, ids: Sequence[str]) -> HeldKind:
    """What was decided of its incidents."""
    changes, first, last = console.triage.extent(_triaged(console, ids))
    retention = console.config.retention
    return HeldKind(
        "triage", changes, first, last, seconds=retention.incidents if retention else None
    )


def _bypasses(console: Console, names: Sequence[str]) -> Iterator[HeldKind]:
    """The days on which it hid its lookups; those in personal and guest networks may be kept for
    a shorter time."""
    retention, days = console.config.retention, defaultdict[bool, list[int]](list)
    for each in kept_records(console.catalogue, devices=names):
        days[each["device"]["class"] in PERSONAL].append(day_number(each))
    for is_personal, its in sorted(days.items()) or [(False, [])]:
        times = [retention.incidents] if retention else []
        if retention and is_personal:
            times.append(retention.personal)
        yield HeldKind(
            "bypass",
            len(its),
            min(its) * DAY if its else None,
            (max(its) + 1) * DAY - 1 if its else None,
            seconds=min((each for each in times if each is not None), default=None),
        )


def _triaged(console: Console, devices: Sequence[str]) -> set[str]:
    """The ids of the incidents of some devices where they are few, which may have a triage; of
    many, of those that have one."""
    incident = tables.incident.c
    with console.catalogue.database.reading() as connection:
        if (_incidents(connection, devices, None).rows or 0) <= FEW:
            is_own = incident.device.in_(sorted(devices)) & (incident.shown == 1)
            # With the run, which it lacks, the index of all incidents looks no better to SQLite.
            statement = select(incident.id, incident.run).where(is_own)
        else:
            is_own = incident.device.concat("").in_(sorted(devices)) & (incident.shown + 0 == 1)
            changed = console.triage.changed(console.catalogue)
            statement = select(incident.id).where(changed.condition, is_own)
        return set(connection.execute(statement).scalars())


def _names_device(ids: Sequence[str]) -> Any:
    """The condition that a record of coverage has one of these devices. A text that begins with a
    quote, of which records are full, is looked for where the name is found."""
    record, names = tables.coverage.c.record, []
    for name in ids:
        quoted = json.dumps(name, ensure_ascii=False)
        texts = (quoted[1:], f'"id":{quoted}')
        names.append(and_(*(record.contains(text, autoescape=True) for text in texts)))
    return or_(*names)


def subjects_of(ids: Sequence[str]) -> frozenset[str]:
    """What the audit calls a device with these ids."""
    return frozenset(f"{kind} {name}" for name in ids for kind in ("device", "pseudonym"))


def looks_at(console: Console, ids: Sequence[str]) -> tuple[Look, ...]:
    """The rows of the audit on a device, the newest first."""
    subjects = tuple(sorted(subjects_of(ids)))
    exact = tuple(f"{subject}," for subject in subjects)
    return tuple(
        entry
        for entry in console.audit.newest(_LOOKS, None, subject=subjects)
        if entry.subject in subjects or entry.subject.startswith(exact)
    )


def copies(console: Console, found: Held) -> Iterator[tuple[str, Iterator[Any]]]:
    """All that is held, by kind, as values of JSON that are made one by one. Raises
    `NetwatchError` while they are read."""
    yield "inventory", (_entry(entry) for entry in found.entries)
    yield "observations", _observations(console, found)
    own_flows = flows(console.catalogue, console.store, _wanted(found)) if found.clients else ()
    yield "flows", map(flow_record, own_flows)
    yield "claims", _claims(console, found)
    incident, case = tables.incident.c, tables.fleet_case.c
    own = incident.device.in_(sorted(found.ids)) & (incident.shown == 1)
    yield "incidents", _records(console, select(incident.record).where(own))
    if is_centre(console.catalogue):
        # The index of all cases has their devices, and not their records, which are long.
        of_device = select(case.id).where(case.device.in_(sorted(found.ids)))
        yield "cases", _records(console, select(case.record).where(case.id.in_(of_device)))
    yield (
        "triage",
        (
            {"incident": identity, **asdict(change), "time": rfc3339(change.time, 0)}
            for identity, change in console.triage.changes(_triaged(console, found.ids))
        ),
    )
    evidence = tables.evidence.c
    paths = select(evidence.path).where(evidence.incident.in_(select(incident.id).where(own)))
    yield "evidence", (path for (path,) in _rows(console, paths))
    # Nothing but its text says whom a record of coverage names: all are read once, for the count.
    is_covered = any(kind.code == "coverage" and kind.rows != 0 for kind in found.kinds)
    yield "coverage", _coverage(console, found) if is_covered else iter(())
    names = (*found.ids, *client_names(console.catalogue, found.clients))
    yield "bypasses", map(dict, kept_records(console.catalogue, devices=names))


def _wanted(found: Held) -> Filter:
    return Filter(device=found.device, clients=found.clients)


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id, "mac": [*map(mac_text, entry.macs)], "ip": [*map(ip_text, entry.ips)],
        "hostname": entry.hostname, "owner": entry.owner, "class": entry.device_class,
        "from": None if entry.since is None else rfc3339(entry.since, 0),
        "until": None if entry.until is None else rfc3339(entry.until, 0),
        "file": entry.file, "line": entry.line,
    }  # fmt: skip


def _observations(console: Console, found: Held) -> Iterator[dict[str, Any]]:
    if not found.clients:
        return
    for batch in observations(console.catalogue, console.store, _wanted(found)):
        for start, stop in batch.spans:
            yield from (observation_record(batch, row) for row in range(start, stop))


def _claims(console: Console, found: Held) -> Iterator[dict[str, Any]]:
    privacy = console.config.privacy
    sealing = privacy.sealing if privacy is not None else None
    for moment, claim in console.device_facts.claims(found.clients):
        yield {"time": rfc3339(moment, 6), **claim_record(claim, sealing)}


def _rows(console: Console, statement: Any) -> list[Any]:
    with console.catalogue.database.reading() as connection:
        return list(connection.execute(statement).all())


def _records(console: Console, statement: Any) -> Iterator[Any]:
    return (json.loads(record) for (record,) in _rows(console, statement))


def _coverage(console: Console, found: Held) -> Iterator[dict[str, Any]]:
    """How many flows of the device there were, with its entries in the records of coverage."""
    column, ids = tables.coverage.c, frozenset(found.ids)
    statement = select(column.first, column.last, column.record).where(
        _names_device(sorted(found.ids))
    )
    for first, last, text in _rows(console, statement):
        for network in json.loads(text).get("networks", ()):
            for device in network.get("devices", ()):
                if device.get("id") in ids:
                    yield {
                        "from": None if first is None else rfc3339(first, 0),
                        "until": None if last is None else rfc3339(last, 0),
                        "network": network.get("name"), **device,
                    }  # fmt: skip


def overview(kind: HeldKind) -> dict[str, Any]:
    """A kind of data as JSON has it."""
    return {
        "kind": kind.code, "network": kind.network, "sensor": kind.sensor, "rows": kind.rows,
        "from": None if kind.first is None else rfc3339(kind.first, 0),
        "until": None if kind.last is None else rfc3339(kind.last, 0),
        "kept": kind.rule, "kept_seconds": kind.seconds,
    }  # fmt: skip
