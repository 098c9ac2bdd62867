"""The rows of runs and of clients: what decided on the records of a run, the runs, captures and
clients of sensors, when a sensor was heard, and which runs a later one replaces.

A sensor identifies its run by the time when it began. In the catalogue of its centre it has a
number, which stays the same however often, and after any interruption, data of the run arrives.

A run is replaced by a later run of the same command that stored all of its captures, known by the
hashes of their content, completely: it judged the same packets, so its incidents would be there
twice. A run of ``names`` judges nothing, so any complete storing of its captures replaces it, an
earlier one too. A run that reads only some of the captures of another replaces nothing, because the
incidents of the other one may run across them; queries then show each capture and each incident
once, from the newest run. Evidence captures of a removed run stay known, because they must be found
when a person is erased. A removed run leaves rows in files, which no reader shows any more (readers
only show rows of captures in the catalogue) and which the next compaction drops.

Facts only name a client by its number, which is random. So its identity can be erased in one place.
Many sites use the same private addresses, and call their networks alike: whether two sensors saw
one device cannot be told from their data. So a number never stands for clients of several sensors,
nor for an address in several networks of one, and nobody gets a stranger's facts. A device that two
sensors of a site see has two numbers, like one with two addresses.
"""

import json
import secrets
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, case, delete, insert, or_, select, update

from netwatch.store import catalogue_tables as tables
from netwatch.store.hour_rows import add_contents, add_judged, remove_coverage, remove_hours
from netwatch.store.incident_rows import remove_incidents
from netwatch.store.statements import CHUNK, chunks, upsert

_PARTS = (tables.evidence, tables.capture, tables.loss, tables.run_writing)


OUTSIDE = "outside"
"""The key in a sensor's status for its centre's remarks: sentences on reports about networks or
devices that are not its own."""


@dataclass(frozen=True, slots=True)
class VersionHashes:
    """The version of netwatch, and content hashes as in alerts."""

    netwatch: str
    signatures: str
    bans: str
    configuration: str


def find_version(connection: Connection, hashes: VersionHashes) -> int | None:
    """The number of a version; None if it is not stored."""
    columns = tables.version.c
    return connection.execute(
        select(columns.id).where(
            columns.netwatch == hashes.netwatch,
            columns.signatures == hashes.signatures,
            columns.bans == hashes.bans,
            columns.configuration == hashes.configuration,
        )
    ).scalar()


def version_number(connection: Connection, hashes: VersionHashes) -> int:
    """The number of a version within a transaction that allocates numbers; it is stored on first
    use."""
    known = find_version(connection, hashes)
    if known is not None:
        return known
    values = {
        "netwatch": hashes.netwatch,
        "signatures": hashes.signatures,
        "bans": hashes.bans,
        "configuration": hashes.configuration,
    }
    result = connection.execute(insert(tables.version).values(first_used=time.time_ns(), **values))
    return int(result.inserted_primary_key[0])  # type: ignore[index]


def version_with(connection: Connection, hashes: VersionHashes, contents: Mapping[str, str]) -> int:
    """The same, with the contents of its bans."""
    number = version_number(connection, hashes)
    add_contents(connection, number, contents)
    return number


def supersede(connection: Connection, run: int) -> list[int]:
    """Remove the runs that `run`, which has ended, replaces, or `run` itself if it adds nothing;
    returns the numbers of removed runs."""
    commands = {
        row.id: row.command
        for row in connection.execute(
            select(tables.run.c.id, tables.run.c.command).where(tables.run.c.command != "live")
        )
    }
    if run not in commands:
        return []
    contents: defaultdict[int, set[str]] = defaultdict(set)
    complete: defaultdict[int, set[str]] = defaultdict(set)
    columns = tables.capture.c
    for row in connection.execute(select(columns.run, columns.content, columns.state)):
        contents[row.run].add(row.content)
        if row.content and row.state == "complete":
            complete[row.run].add(row.content)
    replaced = {
        other: run
        for other, command in commands.items()
        if other < run
        and command in (commands[run], "names")
        and contents[other]
        and contents[other] <= complete[run]
    }
    if commands[run] == "names" and contents[run]:
        for other, command in commands.items():
            if command == "scan" and contents[run] <= complete[other]:
                replaced[run] = other
    for number, successor in replaced.items():
        _remove(connection, number, replaced.get(successor, successor))
    return list(replaced)


def _remove(connection: Connection, run: int, successor: int) -> None:
    """Remove a run; its evidence captures become those of its successor, unless that has them."""
    evidence = tables.evidence
    own = [evidence.c.incident, evidence.c.path]
    known = {
        tuple(row) for row in connection.execute(select(*own).where(evidence.c.run == successor))
    }
    for number, *key in connection.execute(
        select(evidence.c.id, *own).where(evidence.c.run == run)
    ).all():
        if tuple(key) not in known:
            row = evidence.c.id == number
            connection.execute(update(evidence).where(row).values(run=successor))
    remove_incidents(connection, tables.incident.c.run == run)
    remove_coverage(connection, tables.coverage.c.run == run)
    remove_hours(connection, run)
    for part in _PARTS:
        connection.execute(delete(part).where(part.c.run == run))
    connection.execute(delete(tables.run).where(tables.run.c.id == run))


def find_run(connection: Connection, sensor: str, command: str, started: int) -> int | None:
    """The number of the run that a sensor began at a time (ns by its clock); None if it is not
    stored."""
    columns = tables.run.c
    return connection.execute(
        select(columns.id).where(
            columns.sensor == sensor, columns.started == started, columns.command == command
        )
    ).scalar()


def find_capture(connection: Connection, run: int, position: int) -> int | None:
    """The number of the capture at a position of a run, in the same way."""
    columns = tables.capture.c
    return connection.execute(
        select(columns.id).where(columns.run == run, columns.position == position)
    ).scalar()


def add_run(
    connection: Connection, sensor: str, command: str, started: int, version: int | None
) -> int:
    """Store a run, within a transaction that allocates numbers; returns its number."""
    values = {
        "started": started,
        "command": command,
        "sensor": sensor,
        "version": version,
        "named": 1,
    }
    number = _insert(connection, tables.run, values)
    if version is not None:
        add_judged(connection, number, version)
    return number


def add_capture(connection: Connection, run: int, position: int) -> int:
    """Store a capture of a run, in the same way."""
    values = {
        "run": run,
        "position": position,
        "sources": json.dumps([]),
        "content": "",
        "state": "open",
        "lost_rows": 0,
    }
    return _insert(connection, tables.capture, values)


def _insert(connection: Connection, table: Table, values: dict[str, object]) -> int:
    result = connection.execute(insert(table).values(values))
    return int(result.inserted_primary_key[0])  # type: ignore[index]


def note_heard(
    connection: Connection,
    sensor: str,
    at: int,
    status: Mapping[str, Any] | None = None,
    clock_offset: int | None = None,
) -> None:
    """Note that a sensor was heard at a time (ns), within a transaction. A `status` or an offset
    (ns that its clock is ahead) replaces an older one, and it is no longer silent."""
    table = tables.fleet_sensor
    values: dict[str, Any] = {"name": sensor, "heard": at}
    if status is not None:
        values["status"] = json.dumps(status, ensure_ascii=False, separators=(",", ":"))
    if clock_offset is not None:
        values["clock_offset"] = clock_offset
    is_newer = or_(table.c.heard.is_(None), table.c.heard <= at)
    upsert(
        connection,
        table,
        [values],
        lambda new: {
            name: case((is_newer, new[name]), else_=table.c[name])
            for name in values
            if name != "name"
        },
    )
    silence = tables.fleet_silence
    ended = (silence.c.sensor == sensor) & silence.c.until.is_(None) & (silence.c.since <= at)
    if connection.execute(update(silence).where(ended).values(until=at)).rowcount:
        row = table.c.name == sensor
        connection.execute(update(table).where(row).values(silent_since=None))


def note_outside(connection: Connection, sensor: str, said: Sequence[str]) -> None:
    """Note sentences on reports of a rostered sensor about networks or devices that are not its
    own, within a transaction; they replace older ones."""
    table = tables.fleet_sensor
    row = table.c.name == sensor
    text = connection.execute(select(table.c.status).where(row)).scalar()
    status = {**(json.loads(text) if text else {}), OUTSIDE: [*said]}
    line = json.dumps(status, ensure_ascii=False, separators=(",", ":"))
    connection.execute(update(table).where(row).values(status=line))


ClientKey = tuple[str | bytes | None, ...]
"""The key that distinguishes the clients of a sensor."""


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """An address in frames of a MAC, both as text (`mac` None if there is none), with the name and
    class of its network, None outside all. A client that is known by a pseudonym has no `ip` and
    `mac`."""

    ip: str | None
    mac: str | None
    network: str | None = None
    network_class: str | None = None
    pseudonym: str | None = None
    sealed: bytes | None = None

    @property
    def key(self) -> ClientKey:
        """The key that distinguishes it from others of its sensor. A pseudonym is shared by all
        with the address; sealed, equal clients are equal. The class is not part of it: a network
        that gets another class keeps its clients."""
        return self.network, self.ip, self.mac, self.pseudonym, self.sealed

    @property
    def network_and_class(self) -> tuple[str, str] | None:
        """Its network and the network's class; None outside all."""
        return None if self.network is None else (self.network, self.network_class or "")


def find_clients(
    connection: Connection, clients: Sequence[ClientAddress], sensor: str
) -> dict[ClientKey, int]:
    """The numbers of those clients of a sensor that are in the catalogue, by key."""
    column = tables.client.c
    parts = (column.network, column.ip, column.mac, column.pseudonym, column.sealed)
    found: dict[ClientKey, int] = {}
    wanted = {client.key for client in clients}
    for place, values in (
        (column.pseudonym, {client.pseudonym for client in clients if client.pseudonym}),
        (column.ip, {client.ip for client in clients if client.ip is not None}),
    ):
        for part in chunks(sorted(values)):
            rows = connection.execute(
                select(column.number, *parts)
                .where(column.sensor == sensor, place.in_(part))
                .order_by(column.number)
            )
            for number, *key in rows:
                if tuple(key) in wanted:
                    found.setdefault(tuple(key), number)
    return found


def add_clients(
    connection: Connection, clients: Sequence[ClientAddress], sensor: str
) -> dict[ClientKey, int]:
    """Store clients of a sensor under free numbers; returns the numbers by key."""
    column = tables.client.c.number
    free: set[int] = set()
    while len(free) < len(clients):
        drawn = {secrets.randbelow(2**31 - 1) + 1 for _ in range(min(CHUNK, len(clients)))} - free
        drawn -= {*connection.execute(select(column).where(column.in_(drawn))).scalars()}
        free |= drawn
    added: dict[ClientKey, int] = {}
    rows = []
    for client, number in zip(clients, free, strict=False):
        added[client.key] = number
        rows.append(
            {
                "number": number,
                "sensor": sensor,
                "ip": client.ip,
                "mac": client.mac,
                "network": client.network,
                "class": client.network_class,
                "pseudonym": client.pseudonym,
                "sealed": client.sealed,
            }
        )
    if rows:
        connection.execute(insert(tables.client), rows)
    return added
