"""How the tables of an older catalogue become those of `netwatch.store.catalogue_tables`.

The catalogue says in its row of `store` which version its tables have. Each step brings them to the
next version, in one transaction with the new number, so that a migration that is interrupted has
not happened. A newer catalogue is never touched.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    Connection,
    Table,
    bindparam,
    insert,
    inspect,
    select,
    text,
    tuple_,
    update,
)

from netwatch.core.alert import contacts_of
from netwatch.core.errors import ConfigError, Problem
from netwatch.store import catalogue_tables as tables
from netwatch.store.hour_rows import sum_all
from netwatch.store.incident_rows import recount_all, recount_days
from netwatch.store.incident_words import index_all, read_record

_AT_ONCE = 2_000
"""Records to read at once."""

Step = Callable[[Connection], None]
"""Upgrades the tables of one version to the next one."""


def _add_counts(connection: Connection) -> None:
    """Version 2: which incidents are shown, how many there are by day and device, sums of coverage,
    and the status of live sensors."""
    connection.execute(text("ALTER TABLE incident ADD COLUMN shown INTEGER DEFAULT 1 NOT NULL"))
    # The tables that are made here are those of now, with what version 12 adds.
    _add_ranks(connection, tables.incident)
    for name in ("incident_time", "incident_device"):
        connection.execute(text(f"DROP INDEX {name}"))
    new = [tables.incident_day, tables.incident_device, tables.coverage_network]
    tables.metadata.create_all(connection, tables=new)
    connection.execute(
        text("CREATE TABLE sensor (name TEXT PRIMARY KEY, time BIGINT NOT NULL,"
             " status TEXT NOT NULL)")
    )  # fmt: skip
    for index in sorted(tables.incident.indexes, key=lambda index: str(index.name)):
        index.create(connection)
    recount_all(connection)
    sum_all(connection)


def _add_fleet(connection: Connection) -> None:
    """Version 3: the roster of sensors, which has the status of live ones too, and cases."""
    new = [table for table in tables.metadata.sorted_tables if table.name.startswith("fleet_")]
    tables.metadata.create_all(connection, tables=new)
    connection.execute(
        text("INSERT INTO fleet_sensor (name, heard, status) SELECT name, time, status FROM sensor")
    )
    connection.execute(text("DROP TABLE sensor"))


def _add_index(connection: Connection) -> None:
    """Version 4: the last place in the output of a run is found without reading all of it."""
    wanted = next(index for index in tables.incident.indexes if index.name == "incident_position")
    # Version 2 makes all indexes that incidents have now.
    wanted.create(connection, checkfirst=True)


def _tell_sensors_apart(connection: Connection) -> None:
    """Version 5: a client is what one sensor saw. In a store that one sensor wrote it is known
    which one. If several did, a client may be devices of several of them, in the network of the
    first one: which sensor saw a fact is known from its run, but not in which network its client
    was. The network of a client with a pseudonym is sealed with it."""
    client = tables.client
    connection.execute(text("ALTER TABLE client ADD COLUMN sensor TEXT"))
    connection.execute(text("DROP INDEX client_address"))
    next(index for index in client.indexes if index.name == "client_address").create(connection)
    sensors = connection.execute(select(tables.run.c.sensor).distinct()).scalars().all()
    if len(sensors) == 1:
        connection.execute(update(client).values(sensor=sensors[0]))
    elif sensors:
        connection.execute(update(client).where(client.c.ip.is_not(None)).values(network=None))


def _add_hours(connection: Connection) -> None:
    """Version 6: the hours in which there were packets, by network, and what judged them. For
    earlier runs it is known which version judged them, and when there were packets if facts are
    left (`netwatch.store.hour_counting`), but not what their bans said."""
    new = [tables.version_ban, tables.hour_captured, tables.hour_network, tables.hour_judged]
    tables.metadata.create_all(connection, tables=new)
    run = tables.run.c
    for number, version, started in connection.execute(
        select(run.id, run.version, run.started).where(run.version.is_not(None))
    ).all():
        connection.execute(
            insert(tables.hour_judged).values(run=number, version=version, judged=started)
        )


def _add_losses(connection: Connection) -> None:
    """Version 7: losses of runs, and which runs are being written. For earlier runs it is known how
    many rows were lost, but not when."""
    tables.metadata.create_all(connection, tables=[tables.loss, tables.run_writing])


def _add_named(connection: Connection) -> None:
    """Version 8: whether the ids of the incidents of a run contain the name of its sensor. Before
    it none did."""
    connection.execute(text("ALTER TABLE run ADD COLUMN named INTEGER DEFAULT 0 NOT NULL"))


def _rename_flows(connection: Connection) -> None:
    """Version 9: flows have names that reveal nothing about their ends. The files of facts are
    rewritten after this step (`netwatch.store.opening`), with a key that exists until that is
    done."""
    kind = tables.store.c.flow_key.type.compile(connection.dialect)
    connection.execute(text(f"ALTER TABLE store ADD COLUMN flow_key {kind}"))


def _add_bypasses(connection: Connection) -> None:
    """Version 10: which devices hid their lookups, day by day."""
    tables.metadata.create_all(connection, tables=[tables.bypass_day, tables.bypass])


def _add_words(connection: Connection) -> None:
    """Version 11: the words by which incidents are found, and an index that counts the incidents of
    a device in a network. Until when those of a day were seen is counted by the next step."""
    tables.metadata.create_all(
        connection,
        tables=[tables.incident_device_word, tables.incident_name, tables.incident_named],
    )
    _index_anew(connection, tables.incident, "incident_shown_device")
    index_all(connection)


def _add_orders(connection: Connection) -> None:
    """Version 12: the severity and the number of contacts of incidents and cases, by which lists
    are sorted, and which the indexes of lists have; incidents of a day are counted by severity."""
    for table, names in (
        (tables.incident, ("incident_shown", "incident_contacts")),
        (tables.fleet_case, ("fleet_case_time",)),
    ):
        for name in names:
            connection.execute(text(f"DROP INDEX IF EXISTS {name}"))
        _add_ranks(connection, table)
        _fill_ranks(connection, table)
        for name in names:
            _index_anew(connection, table, name)
    day = tables.incident_day
    days = connection.execute(select(day.c.day).distinct()).scalars().all()
    day.drop(connection)
    day.create(connection)
    recount_days(connection, days)


def _add_traffic(connection: Connection) -> None:
    """Version 13: in which hours traffic itself was seen, and not only logs of services. It is
    found in the facts after this step (`netwatch.store.hour_counting.fill_traffic`)."""
    for table in (tables.hour_captured, tables.hour_network):
        known = {column["name"] for column in inspect(connection).get_columns(table.name)}
        if "traffic" not in known:
            kind = table.c.traffic.type.compile(connection.dialect)
            connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN traffic {kind}"))


def _add_case_indexes(connection: Connection) -> None:
    """Version 14: cases are counted by ban, and found by their incidents, in indexes alone."""
    for table, name in (
        (tables.fleet_case, "fleet_case_ban"),
        (tables.fleet_case_incident, "fleet_case_incident_id"),
    ):
        _index_anew(connection, table, name)


def _add_ranks(connection: Connection, table: Table) -> None:
    """Add the columns of version 12 to a table of records that lacks them."""
    known = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for name, kind in (("severity", "TEXT DEFAULT ''"), ("contacts", "BIGINT DEFAULT 0")):
        if name not in known:
            connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {name} {kind} NOT NULL"))


def _fill_ranks(connection: Connection, table: Table) -> None:
    """Take what these columns have from the records, some at a time: they are large."""
    key = tuple(table.primary_key.columns)
    statement = select(*key, table.c.record).order_by(*key).limit(_AT_ONCE)
    change = update(table).where(*(column == bindparam(f"at_{column.name}") for column in key))
    change = change.values(severity=bindparam("as_severity"), contacts=bindparam("as_contacts"))
    after: tuple[Any, ...] | None = None
    while True:
        behind = statement if after is None else statement.where(tuple_(*key) > after)
        rows = connection.execute(behind).all()
        values = []
        for *place, line in rows:
            record = read_record(line)
            value = {f"at_{column.name}": part for column, part in zip(key, place, strict=True)}
            value["as_severity"] = record.get("severity") or ""
            value["as_contacts"] = contacts_of(record) if "counts" in record else 0
            values.append(value)
        if values:
            connection.execute(change, values)
        if len(rows) < _AT_ONCE:
            return
        after = tuple(rows[-1][:-1])


def _index_anew(connection: Connection, table: Table, name: str) -> None:
    """Make an index as it is now."""
    connection.execute(text(f"DROP INDEX IF EXISTS {name}"))
    next(index for index in table.indexes if index.name == name).create(connection)


STEPS: Mapping[int, Step] = {
    1: _add_counts,
    2: _add_fleet,
    3: _add_index,
    4: _tell_sensors_apart,
    5: _add_hours,
    6: _add_losses,
    7: _add_named,
    8: _rename_flows,
    9: _add_bypasses,
    10: _add_words,
    11: _add_orders,
    12: _add_traffic,
    13: _add_case_indexes,
}
"""The steps by their starting version. A change of the tables adds one and raises
`SCHEMA_VERSION`."""


WHAT: Mapping[int, str] = {
    1: "counts of incidents by day and device, and sums of coverage, computed from all rows",
    2: "the roster of sensors, and cases",
    3: "an index of incidents by their place in a run",
    4: "clients belong to the sensor that saw them; of several, networks are forgotten",
    5: "hours that were captured and judged; the next command counts them from all facts",
    6: "values missing from runs",
    7: "whether ids of incidents contain the name of the sensor; ids stay as they are",
    8: "numbers of flows that reveal nothing about their ends; files of facts are rewritten",
    9: "days on which devices hid their lookups; live and compact judge the days that are stored",
    10: "words by which incidents are found, made from all records",
    11: "severity and contacts of incidents; all are written anew, which needs as much free disk",
    12: "hours that only logs of services tell of; the next command finds them in all facts",
    13: "indexes that count cases by ban, and find those of incidents",
}
"""The steps' descriptions for people."""


def refuse_unknown(schema: int, place: str) -> None:
    """Raise `ConfigError` for a catalogue at `place` whose version cannot be read: a newer one, or
    one so old that there is no step from it."""
    if schema > tables.SCHEMA_VERSION:
        raise ConfigError([Problem(place, 0, 0, f"was written by a newer netwatch (schema {schema},"
                                   f" this one reads up to {tables.SCHEMA_VERSION}):"
                                   " update netwatch")])  # fmt: skip
    if any(version not in STEPS for version in range(schema, tables.SCHEMA_VERSION)):
        raise ConfigError([Problem(place, 0, 0, f"has an unknown version (schema"
                                   f" {schema}, expected {tables.SCHEMA_VERSION})")])  # fmt: skip


def migrate(connection: Connection, schema: int, place: str) -> None:
    """Upgrade the tables from version `schema` to the present one, inside the transaction of
    `connection`. Raises `ConfigError` if there is no way."""
    refuse_unknown(schema, place)
    for version in range(schema, tables.SCHEMA_VERSION):
        STEPS[version](connection)
    if schema < tables.SCHEMA_VERSION:
        connection.execute(update(tables.store).values(schema=tables.SCHEMA_VERSION))
