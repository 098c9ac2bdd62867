"""The catalogue, in SQLite and in PostgreSQL."""

import json
import os
import sqlite3
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Text, func, insert, inspect, select, text, update

from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.formats.values import epoch_ns
from netwatch.store import catalogue_tables as tables
from netwatch.store import migrations
from netwatch.store.catalogue import Catalogue, FileRow, SourceFile, StaleFilesError
from netwatch.store.fleet_sensors import heard, roster
from netwatch.store.incident_pages import IncidentFilter, incident_counts
from netwatch.store.incident_words import devices_called
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.queries import incidents
from netwatch.store.run_rows import ClientAddress, VersionHashes
from netwatch.store.statements import Filter


@pytest.fixture(params=["sqlite", "postgresql"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> StoreOptions:
    is_server = request.param == "postgresql"
    catalogue = request.getfixturevalue("postgres_url") if is_server else ""
    return StoreOptions(str(tmp_path / "store"), catalogue)


def file_row(path: str, **values: Any) -> FileRow:
    row = FileRow(path, "observation", "2023-03-20", None, 1, 2, 10, 20, 1, "")
    return replace(row, **values)


def alert(incident: str, first_seen: str = "2023-03-20T09:00:00Z", **values: str) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": incident,
        "status": "closed",
        "verdict": "violation",
        "severity": "high",
        "confidence": "confirmed",
        "counts": {"lookups": 2, "handshakes": 1},
        "kind": {"value": "session"},
        "outcome": "reached",
        "app": {"id": "tiktok"},
        "ban": {"id": "default"},
        "device": {"id": "lab-07", "ip": "10.0.0.7", "mac": None, "hostname": None, "owner": None},
        "network": {"name": "hq"},
        "first_seen": first_seen,
        "last_seen": first_seen,
        "names": ["www.tiktok.com"],
    }
    return record | values


def stored(incident: str, **values: str) -> tuple[dict[str, Any], str]:
    """An alert with its line."""
    record = alert(incident, **values)
    return record, json.dumps(record)


def store_run(
    catalogue: Catalogue, contents: Sequence[str], *, command: str = "scan", state: Any = "complete"
) -> int:
    run = catalogue.begin_run(command, "sensor")
    for position, content in enumerate(contents):
        capture = catalogue.begin_capture(run, position, [SourceFile("a", 1, content)], content)
        catalogue.end_capture(capture, state, 1, 2)
    return run


def runs(catalogue: Catalogue) -> list[int]:
    with catalogue.database.reading() as connection:
        return list(connection.execute(select(tables.run.c.id).order_by(tables.run.c.id)).scalars())


def test_opens_only_what_was_created(options: StoreOptions) -> None:
    with pytest.raises(NetwatchError, match="there is no store"):
        open_catalogue(options)
    open_catalogue(options, create=True).close()
    with open_catalogue(options) as catalogue:
        assert catalogue.files("observation") == []


def test_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        open_catalogue(StoreOptions(str(tmp_path / "store")), create=True).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "store/catalogue.sqlite").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"notes", b"SQLite format 3\0" + bytes(8000)])
def test_leaves_files_of_others_as_they_are(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "catalogue.sqlite"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="left as it is"):
        open_catalogue(StoreOptions(str(tmp_path)), create=True)
    assert path.read_bytes() == content


def test_leaves_a_database_of_others_as_it_is(postgres_url: str, tmp_path: Path) -> None:
    import psycopg

    with psycopg.connect(postgres_url) as server:
        server.execute("CREATE TABLE invoices (id int)")
    with pytest.raises(ConfigError, match="left as it is"):
        open_catalogue(StoreOptions(str(tmp_path), postgres_url), create=True)
    with psycopg.connect(postgres_url) as server:
        found = server.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchone()
    assert found == (1,)


@pytest.mark.parametrize(
    ("path", "catalogue", "expected"),
    [
        ("s3://bucket/store", "", "needs the key `catalogue`"),
        ("store", "mysql://host/database", "postgresql://USER@HOST/DATABASE"),
        ("store", "nonsense", "postgresql://USER@HOST/DATABASE"),
    ],
)
def test_refuses_other_places(path: str, catalogue: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        open_catalogue(StoreOptions(path, catalogue), create=True)


def test_does_not_show_the_password() -> None:
    with pytest.raises(NetwatchError) as caught:
        open_catalogue(StoreOptions("x", "postgresql://u:secret@127.0.0.1:1/db"), create=True)
    assert "secret" not in str(caught.value)


def test_several_create_it_at_once(options: StoreOptions) -> None:
    def create(_: int) -> str:
        with open_catalogue(options, create=True) as catalogue, catalogue.database.reading() as c:
            return str(c.execute(select(tables.store.c.id)).scalar_one())

    with ThreadPoolExecutor(6) as pool:
        assert len({*pool.map(create, range(12))}) == 1


def test_numbers_of_clients_are_random_stable_and_unique(options: StoreOptions) -> None:
    clients = [
        ClientAddress(f"10.0.{i // 250}.{i % 250}", None, "hq", "service") for i in range(900)
    ]
    clients += [
        ClientAddress("10.0.0.1", "02:00:00:00:00:01"),
        ClientAddress(None, None, pseudonym="p"),
    ]
    with open_catalogue(options, create=True) as catalogue:
        numbers = catalogue.client_numbers(clients, "sensor")
        assert len({*numbers}) == len(clients)
        assert min(numbers) > 0
        assert max(numbers) > 1 << 24
        assert sorted(numbers) != numbers
    with open_catalogue(options) as catalogue:
        assert catalogue.client_numbers(clients, "sensor") == numbers
        assert catalogue.client_numbers(clients[::-1], "sensor") == numbers[::-1]


def test_several_writers_give_a_client_one_number(options: StoreOptions) -> None:
    open_catalogue(options, create=True).close()
    clients = [ClientAddress(f"10.0.0.{i}", None) for i in range(200)]

    def number(start: int) -> dict[str | None, int]:
        rotated = clients[start:] + clients[:start]
        with open_catalogue(options) as catalogue:
            return {
                each.ip: catalogue.client_numbers([each], "sensor")[0] for each in rotated
            }  # one transaction each

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(number, (0, 50, 100, 150))
    assert all(other == first for other in others)
    assert len({*first.values()}) == len(clients)


def test_versions_are_known_by_their_hashes(options: StoreOptions) -> None:
    with open_catalogue(options, create=True) as catalogue:
        first = catalogue.version_id(VersionHashes("1", "a", "b", "c"))
        assert catalogue.version_id(VersionHashes("1", "a", "b", "d")) != first
        assert catalogue.version_id(VersionHashes("1", "a", "b", "c")) == first


def test_finds_files_by_time_and_bucket(options: StoreOptions) -> None:
    early = file_row("a", first=10, last=20)
    late = file_row("b", first=21, last=30, day="2023-03-21")
    bucket = file_row("c", first=10, last=20, bucket=3)
    with open_catalogue(options, create=True) as catalogue:
        catalogue.register_files([late, bucket, early])
        assert catalogue.files("observation") == [early, bucket, late]
        assert catalogue.files("flow") == []
        assert catalogue.files("observation", since=21) == [late]
        assert catalogue.files("observation", until=21) == [early, bucket]
        assert catalogue.files("observation", since=20, until=21) == [early, bucket]
        assert catalogue.files("observation", buckets=[4]) == [early, late]
        assert catalogue.files("observation", buckets=[3]) == [early, bucket, late]


def test_replaces_files_once(options: StoreOptions) -> None:
    with open_catalogue(options, create=True) as catalogue:
        catalogue.register_files([file_row("a"), file_row("b")])
        catalogue.replace_files([file_row("c")], ["a", "b"])
        with pytest.raises(StaleFilesError):
            catalogue.replace_files([file_row("d")], ["b", "c"])
        assert [row.path for row in catalogue.files("observation")] == ["c"]


def test_the_next_state_of_an_incident_replaces_it(options: StoreOptions) -> None:
    with open_catalogue(options, create=True) as catalogue:
        run = catalogue.begin_run("live", "sensor")
        catalogue.add_incidents(run, [stored("a", status="open"), stored("b")])
        catalogue.add_incidents(run, [stored("a")])
        with catalogue.database.reading() as connection:
            incident = tables.incident.c
            rows = connection.execute(
                select(incident.id, incident.position, incident.status, incident.record).order_by(
                    incident.position
                )
            ).all()
    assert [tuple(row) for row in rows] == [
        ("a", 0, "closed", stored("a")[1]),
        ("b", 1, "closed", stored("b")[1]),
    ]


def test_a_run_that_stores_captures_again_replaces_the_one_before(options: StoreOptions) -> None:
    with open_catalogue(options, create=True) as catalogue:
        first = store_run(catalogue, ["x", "y"])
        catalogue.add_incidents(first, [stored("a", outcome="blocked")])
        catalogue.add_evidence(first, "a", SourceFile("a.pcap", 1, ""))
        catalogue.end_run(first)
        other = store_run(catalogue, ["z"])
        catalogue.end_run(other)
        second = store_run(catalogue, ["y", "x", "w"])
        catalogue.add_incidents(second, [stored("a")])
        assert runs(catalogue) == [first, other, second]
        catalogue.end_run(second)
        assert runs(catalogue) == [other, second]
        assert len(catalogue.capture_numbers()) == 4
        with catalogue.database.reading() as connection:
            (record,) = connection.execute(select(tables.incident.c.record)).scalars()
            assert record == stored("a")[1]
            # Erasing a person has to find the evidence of a run that is gone.
            evidence = connection.execute(select(tables.evidence.c.run, tables.evidence.c.path))
            assert [tuple(row) for row in evidence] == [(second, "a.pcap")]


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ({"contents": ["x", "y"]}, {"contents": ["x"]}, True),
        ({"contents": ["x"]}, {"contents": ["x"], "state": "partial"}, True),
        ({"contents": ["x"]}, {"contents": ["x"], "command": "names"}, True),
        ({"contents": [""]}, {"contents": [""]}, True),
        ({"contents": ["x"], "command": "live"}, {"contents": ["x"]}, True),
        ({"contents": ["x"], "command": "names"}, {"contents": ["x"]}, False),
        ({"contents": ["x"], "state": "partial"}, {"contents": ["x"]}, False),
    ],
)
def test_which_runs_are_replaced(
    options: StoreOptions, before: dict[str, Any], after: dict[str, Any], kept: bool
) -> None:
    with open_catalogue(options, create=True) as catalogue:
        first = store_run(catalogue, **before)
        catalogue.end_run(first)
        catalogue.end_run(store_run(catalogue, **after))
        assert (first in runs(catalogue)) is kept


def test_names_of_what_was_scanned_add_nothing(options: StoreOptions) -> None:
    with open_catalogue(options, create=True) as catalogue:
        first = store_run(catalogue, ["x", "y"])
        catalogue.end_run(first)
        catalogue.end_run(store_run(catalogue, ["y"], command="names"))
        assert runs(catalogue) == [first]


def test_a_number_is_never_used_again(options: StoreOptions) -> None:
    # Rows of a capture that is gone stay in files until the next compaction.
    with open_catalogue(options, create=True) as catalogue:
        catalogue.end_run(store_run(catalogue, ["x"]))
        catalogue.end_run(store_run(catalogue, ["x"], command="names"))
        assert catalogue.capture_numbers() == [1]
        catalogue.end_run(store_run(catalogue, ["z"]))
        assert catalogue.capture_numbers() == [1, 3]


def test_each_content_is_shown_once(options: StoreOptions) -> None:
    with open_catalogue(options, create=True) as catalogue:
        catalogue.end_run(store_run(catalogue, ["x", "y", ""]))
        catalogue.end_run(store_run(catalogue, ["x", "", "z"]))
        store_run(catalogue, ["z"], state="partial")
        assert catalogue.shown_captures() == [2, 3, 4, 5, 6]


def test_a_run_that_was_replaced_stores_nothing_more(options: StoreOptions) -> None:
    with open_catalogue(options, create=True) as catalogue:
        slow = store_run(catalogue, ["x"])
        catalogue.end_run(store_run(catalogue, ["x"]))
        catalogue.add_incidents(slow, [stored("a")])
        catalogue.add_coverage(slow, 0, 1, 2, "{}")
        catalogue.add_evidence(slow, None, SourceFile("a", 1, ""))
        catalogue.end_run(slow)
        with catalogue.database.reading() as connection:
            for table in (tables.incident, tables.coverage, tables.evidence):
                assert connection.execute(select(table)).all() == []


def test_journal(options: StoreOptions) -> None:
    with open_catalogue(options, create=True) as catalogue:
        catalogue.add_journal("root", "erase", {"rows": 3})
        with catalogue.database.reading() as connection:
            row = connection.execute(select(tables.journal)).one()
    assert (row.user, row.action, row.detail) == ("root", "erase", '{"rows":3}')


def make_older(options: StoreOptions, version: int = 1) -> None:
    """A catalogue of an older version with an incident that two runs found, and a record of
    coverage; those of version 2 and later have the status of a sensor."""
    with open_catalogue(options, create=True) as catalogue:
        for content in ("a", "b"):
            run = store_run(catalogue, [content])
            catalogue.add_incidents(run, [stored("one")])
        catalogue.add_coverage(run, 0, 1, 2, COVERAGE)
        if version >= 3:
            heard(catalogue, "gate", 7, {"packets": 1})
        with catalogue.database.writing() as connection:
            if version == 11:
                texts = dict.fromkeys(tables.fleet_case.c.keys(), "")
                record = json.dumps({"severity": "medium", "counts": stored("")[0]["counts"]})
                numbers = {name: 1 for name, each in tables.fleet_case.c.items()
                           if not isinstance(each.type, Text)}  # fmt: skip
                connection.execute(
                    insert(tables.fleet_case).values({**texts, **numbers, "record": record})
                )
            take_case_indexes(connection)
            take_orders(connection)
            if version < 11:
                take_words(connection)
            if version < 9:
                take_sensors(connection)
                connection.execute(text("ALTER TABLE run DROP COLUMN named"))
                connection.execute(text("ALTER TABLE store DROP COLUMN flow_key"))
            if version < 4:
                connection.execute(text("DROP INDEX incident_position"))
            for table in reversed(tables.metadata.sorted_tables):
                if version < 3 and table.name.startswith("fleet_"):
                    connection.execute(text(f"DROP TABLE {table.name}"))
            if version == 1:
                take_counts(connection)
            if version == 2:
                connection.execute(
                    text("CREATE TABLE sensor (name TEXT, time BIGINT, status TEXT)")
                )
                connection.execute(
                    text("INSERT INTO sensor VALUES ('gate', 7, '{\"packets\": 1}')")
                )
            connection.execute(update(tables.store).values(schema=version))
            if not options.catalogue:
                connection.exec_driver_sql(f"PRAGMA user_version = {version}")


def take_case_indexes(connection: Connection) -> None:
    """Take away what version 14 has and version 13 has not."""
    for index in ("fleet_case_ban", "fleet_case_incident_id"):
        connection.execute(text(f"DROP INDEX {index}"))
    connection.execute(
        text("CREATE INDEX fleet_case_incident_id ON fleet_case_incident (incident, run)")
    )


def take_orders(connection: Connection) -> None:
    """Take away what version 12 has and version 11 has not."""
    for index in ("incident_shown", "incident_contacts", "fleet_case_time"):
        connection.execute(text(f"DROP INDEX {index}"))
    for table in ("incident", "fleet_case"):
        for column in ("severity", "contacts"):
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
    connection.execute(
        text("CREATE TABLE day AS SELECT day, verdict, confidence, kind, outcome, status, app, ban,"
             " network, incidents, last_seen FROM incident_day")
    )  # fmt: skip
    connection.execute(text("DROP TABLE incident_day"))
    connection.execute(text("ALTER TABLE day RENAME TO incident_day"))
    for table, name, columns in (
        ("incident", "incident_shown", "shown, first_seen, id, verdict"),
        ("fleet_case", "fleet_case_time", "first_seen, id, verdict"),
    ):
        connection.execute(text(f"CREATE INDEX {name} ON {table} ({columns})"))


def take_words(connection: Connection) -> None:
    """Take away what version 11 has and version 10 has not."""
    for table in ("incident_device_word", "incident_name", "incident_named"):
        connection.execute(text(f"DROP TABLE {table}"))
    connection.execute(text("ALTER TABLE incident_day DROP COLUMN last_seen"))
    connection.execute(text("DROP INDEX incident_shown_device"))
    connection.execute(
        text("CREATE INDEX incident_shown_device ON incident (shown, device, first_seen)")
    )


def take_sensors(connection: Connection) -> None:
    """Take away what version 5 has and version 4 has not."""
    connection.execute(text("DROP INDEX client_address"))
    connection.execute(text("ALTER TABLE client DROP COLUMN sensor"))
    connection.execute(text("CREATE INDEX client_address ON client (ip, mac)"))


def take_counts(connection: Connection) -> None:
    """Take away what version 2 has and version 1 has not."""
    for index in tables.incident.indexes:
        connection.execute(text(f"DROP INDEX IF EXISTS {index.name}"))
    connection.execute(text("ALTER TABLE incident DROP COLUMN shown"))
    for table in ("incident_day", "incident_device", "coverage_network"):
        connection.execute(text(f"DROP TABLE {table}"))
    connection.execute(text("CREATE INDEX incident_time ON incident (first_seen)"))
    connection.execute(text("CREATE INDEX incident_device ON incident (device)"))


COVERAGE = json.dumps(
    {
        "networks": [
            {
                "name": "hq",
                "class": "service",
                "named": 7,
                "unnamed": {"no-hello": 2},
                "devices": [],
            }
        ],
        "outside": {"named": 0, "unnamed": {"one-direction": 1}},
    }
)


@pytest.mark.parametrize("version", [1, 2, 3, 4, 10, 11])
def test_migrates_older_ones(options: StoreOptions, version: int) -> None:
    make_older(options, version)

    for _ in range(2):
        with open_catalogue(options) as catalogue, catalogue.database.reading() as connection:
            schema = connection.execute(select(tables.store.c.schema)).scalar_one()
            assert schema == tables.SCHEMA_VERSION
            sensors = [(each.name, each.heard, each.status) for each in roster(catalogue)]
            assert sensors == ([("gate", 7, {"packets": 1})] if version >= 2 else [])
            for table in (tables.incident, tables.fleet_case, tables.fleet_case_incident):
                indexes = {each["name"]: each["column_names"]
                           for each in inspect(connection).get_indexes(table.name)}  # fmt: skip
                assert indexes == {each.name: each.columns.keys() for each in table.indexes}
            shown = select(tables.incident.c.run, tables.incident.c.shown)
            assert sorted(connection.execute(shown).all()) == [(1, 0), (2, 1)]
            names = select(tables.incident_name.c.name, tables.incident_name.c.incidents)
            assert connection.execute(names).all() == [("www.tiktok.com", 2)]
            ends = select(tables.incident_day.c.last_seen)
            assert connection.execute(ends).scalars().all() == [epoch_ns("2023-03-20T09:00:00Z")]
            ranks = select(tables.incident.c.severity, tables.incident.c.contacts)
            assert connection.execute(ranks).all() == [("high", 3), ("high", 3)]
            cases = select(tables.fleet_case.c.severity, tables.fleet_case.c.contacts)
            assert connection.execute(cases).all() == ([("medium", 3)] if version == 11 else [])
            assert incident_counts(catalogue, IncidentFilter(), ["severity"]) == {("high",): 1}
            assert devices_called(connection, "10.0.0.7") == ["lab-07"]
            assert incident_counts(catalogue, IncidentFilter(), ["app"]) == {("tiktok",): 1}
            found = incidents(catalogue, Filter(names=("tiktok.com",), device="lab-07"))
            assert list(found) == [stored("one")[1]]
            network = tables.coverage_network.c
            sums = select(network.network, network["class"], network.reason, network.flows)
            assert sorted(connection.execute(sums).all()) == [
                ("", "", "one-direction", 1),
                ("hq", "service", "", 7),
                ("hq", "service", "no-hello", 2),
            ]


def test_a_version_without_a_way_to_it_is_refused(options: StoreOptions) -> None:
    make_older(options)
    with open_catalogue(options) as catalogue, catalogue.database.writing() as connection:
        connection.execute(text("UPDATE store SET schema = 0"))
        if not options.catalogue:
            connection.exec_driver_sql("PRAGMA user_version = 0")
    with pytest.raises(ConfigError, match="an unknown version"):
        open_catalogue(options)


def test_a_migration_that_fails_has_not_happened(
    options: StoreOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_older(options)
    steps = migrations.STEPS

    def fail(connection: Any) -> None:
        steps[1](connection)
        raise ConfigError([])

    monkeypatch.setattr(migrations, "STEPS", {**steps, 1: fail})
    with pytest.raises(ConfigError):
        open_catalogue(options)
    monkeypatch.setattr(migrations, "STEPS", steps)
    open_catalogue(options).close()


def test_refuses_newer_ones(options: StoreOptions) -> None:
    with (
        open_catalogue(options, create=True) as catalogue,
        catalogue.database.writing() as connection,
    ):
        newer = tables.SCHEMA_VERSION + 1
        connection.execute(text(f"UPDATE store SET schema = {newer}"))
        if not options.catalogue:
            connection.exec_driver_sql(f"PRAGMA user_version = {newer}")
    with pytest.raises(ConfigError, match=rf"newer netwatch \(schema {newer}"):
        open_catalogue(options, create=True)


def test_what_was_deleted_is_not_in_the_file(tmp_path: Path) -> None:
    options = StoreOptions(str(tmp_path / "store"))
    with open_catalogue(options, create=True) as catalogue:
        catalogue.client_numbers([ClientAddress("203.0.113.77", "02:00:00:00:be:ef")], "sensor")
        with catalogue.database.writing() as connection:
            connection.execute(tables.client.delete())
    with sqlite3.connect(tmp_path / "store/catalogue.sqlite") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert b"203.0.113.77" not in (tmp_path / "store/catalogue.sqlite").read_bytes()


def test_a_transaction_reads_one_state(options: StoreOptions) -> None:
    """What another process writes meanwhile is for the next one."""
    with (
        open_catalogue(options, create=True) as catalogue,
        open_catalogue(options) as other,
        catalogue.database.reading() as connection,
    ):
        counted = select(func.count()).select_from(tables.run)
        assert connection.execute(counted).scalar() == 0
        other.begin_run("scan", "test")
        assert connection.execute(counted).scalar() == 0
        with other.database.reading() as later:
            assert later.execute(counted).scalar() == 1
