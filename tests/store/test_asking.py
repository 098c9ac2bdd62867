"""The same questions give the same answers in a folder with SQLite and in a bucket with PostgreSQL.

What is rendered from the same records, further filters, and what `store sql` says before it reads
a file are asked of the folder alone: each query of a bucket starts a process of its own.
"""

import csv
import io
import json
from pathlib import Path

import pytest
from support.asked_stores import AskedStore, filled_store, run
from support.paths import PCAPS
from support.postgres_server import new_catalogue
from support.store_servers import new_bucket

from netwatch import config as netwatch_config
from netwatch.store.device_facts import DeviceFactReader
from netwatch.store.incident_words import places_called
from netwatch.store.opening import open_catalogue
from netwatch.store.statements import Filter, device_clients

END = (1 << 63) - 1
KINDS = ("folder", "s3, postgresql")
IN_A_FOLDER = pytest.mark.parametrize("store", KINDS[:1], indirect=True)
IN_A_BUCKET = pytest.mark.parametrize("store", KINDS[1:], indirect=True)


@pytest.fixture(scope="module", params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AskedStore:
    folder = tmp_path_factory.mktemp("store")
    path, catalogue = str(folder / "kept"), ""
    if "postgresql" in request.param:
        catalogue = new_catalogue(request.getfixturevalue("postgres_server"))
    if "s3" in request.param:
        request.getfixturevalue("s3_server")
        path = new_bucket()
    return filled_store(folder, path, catalogue, [PCAPS])


@pytest.fixture(scope="module")
def named() -> list[str]:
    """What ``names`` prints, line by line."""
    ran = run("names", "-q", str(PCAPS), "--format", "jsonl")
    assert ran.status == 0
    return ran.output.splitlines(keepends=True)


def test_incidents_are_those_that_scan_printed(store: AskedStore) -> None:
    assert store.scanned.count("\n") > 20
    assert store.ask("query", "incidents", "--format", "jsonl").output == store.scanned
    assert store.ask("query", "coverage", "--format", "jsonl").output == store.covered


@IN_A_FOLDER
@pytest.mark.parametrize("format_", ["table", "csv", "ecs", "ocsf", "eve", "cef", "leef", "gelf"])
def test_incidents_in_every_format(store: AskedStore, format_: str) -> None:
    scanned = run("scan", "-q", str(PCAPS), "-c", store.config, "--format", format_)
    assert store.ask("query", "incidents", "--format", format_).output == scanned.output


def test_observations_are_those_that_names_prints(store: AskedStore, named: list[str]) -> None:
    assert store.ask("query", "observations", "--format", "jsonl").output == "".join(named)


@IN_A_FOLDER
@pytest.mark.parametrize("format_", ["table", "csv", "ecs"])
def test_observations_in_every_format(store: AskedStore, format_: str) -> None:
    expected = run("names", "-q", str(PCAPS), "--format", format_).output
    assert store.ask("query", "observations", "--format", format_).output == expected


@IN_A_FOLDER
@pytest.mark.parametrize("format_", ["arrow", "parquet"])
def test_observations_as_columns(store: AskedStore, format_: str, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    tables = []
    for name, arguments in (
        ("names", ["names", "-q", str(PCAPS)]),
        ("store", ["store", "query", "observations", "-c", store.config]),
    ):
        path = str(tmp_path / name)
        assert run(*arguments, "--format", format_, "-o", path).status == 0
        tables.append(
            parquet.read_table(path).to_pylist()
            if format_ == "parquet"
            else pa.ipc.open_stream(path).read_all().to_pylist()
        )
    assert tables[0] == tables[1]


@IN_A_BUCKET
def test_filters_of_observations(store: AskedStore, named: list[str]) -> None:
    """One filter of each kind: of names, times, clients and apps."""

    def ask(*arguments: str) -> list[str]:
        ran = store.ask("query", "observations", "--format", "jsonl", *arguments)
        assert ran.status == 0, ran.errors
        return ran.output.splitlines(keepends=True)

    def those(*texts: str) -> list[str]:
        found = [line for line in named if any(text in line for text in texts)]
        assert 0 < len(found) < len(named)
        return found

    below = those('"name":"tiktokv.com"', '.tiktokv.com","client"')
    assert ask("--since", "2023-03-20T11:00Z", "--until", "2023-03-20T12:00:00Z") == those(
        '{"time":"2023-03-20T11'
    )
    assert ask("--device", "m. curie") == those('"client":{"ip":"10.20.5.21"')
    assert ask("--app", "vendor:bytedance", "--network", "labs", "--name", "tiktokv.com") == [
        line for line in below if '"client":{"ip":"10.20.1.' not in line
    ]


@IN_A_FOLDER
def test_all_filters_of_observations(store: AskedStore, named: list[str]) -> None:
    def ask(*arguments: str) -> list[str]:
        ran = store.ask("query", "observations", "--format", "jsonl", *arguments)
        assert ran.status == 0, ran.errors
        return ran.output.splitlines(keepends=True)

    def those(*texts: str) -> list[str]:
        found = [line for line in named if any(text in line for text in texts)]
        assert 0 < len(found) < len(named)
        return found

    below = those('"name":"tiktokv.com"', '.tiktokv.com","client"')
    assert ask("--name", "tiktokv.com") == below
    assert ask("--name", "TikTokV.com.") == below
    assert ask("--name", "*.tiktokv.com") == below
    assert ask("--name", "im-api.*", "--limit", "2") == those('"name":"im-api.')[:2]
    assert ask("--since", "2024-01-01") == those('{"time":"2024')
    assert ask("--until", "2023-12-31") == those('{"time":"2023')
    assert ask("--since", "2023-03-20", "--until", "2023-03-20") == those('{"time":"2023-03-20')
    assert ask("--since", "2023-03-20T11:00Z", "--until", "2023-03-20T12:00:00Z") == those(
        '{"time":"2023-03-20T11'
    )
    of_device = those('"client":{"ip":"10.20.5.21"')
    for word in ("10.20.5.21", "lab-21", "LAB-21.corp.example", "m. curie", "02:00:00:20:05:21"):
        assert ask("--device", word) == of_device, word
    assert ask("--device", "203.0.113.99") == []
    assert ask("--network", "hq") == those('"client":{"ip":"10.20.1.')
    assert ask("--network", "labs", "--name", "tiktokv.com") == [
        line for line in below if '"client":{"ip":"10.20.1.' not in line
    ]
    of_app = ask("--app", "tiktok")
    assert set(below) < set(of_app) < set(named)
    assert not [line for line in of_app if "example.com" in line]
    assert ask("--app", "vendor:bytedance", "--name", "tiktokv.com") == below
    assert ask("--app", "wechat") == []


def test_filters_of_incidents(store: AskedStore) -> None:
    lines = store.scanned.splitlines(keepends=True)

    def ask(*arguments: str) -> list[str]:
        ran = store.ask("query", "incidents", "--format", "jsonl", *arguments)
        assert ran.status == 0, ran.errors
        return ran.output.splitlines(keepends=True)

    def those(text: str) -> list[str]:
        found = [line for line in lines if text in line]
        assert 0 < len(found) < len(lines)
        return found

    assert ask("--app", "tiktok", "--ban", "our-rule", "--verdict", "violation") == lines
    assert ask("--app", "wechat") == ask("--verdict", "exempt") == []
    assert ask("--network", "hq") == those('"network":{"name":"hq"')
    assert ask("--device", "lab-21") == ask("--device", "M. Curie") == those('"id":"lab-21"')
    assert ask("--device", "10.20.5.21") == those('"id":"lab-21"')
    assert ask("--name", "im-api.tiktokv.com") == those('"im-api.tiktokv.com"')
    assert ask("--since", "2024-01-01") == those('"last_seen":"2024')
    assert ask("--until", "2023-12-31") == those('"first_seen":"2023')
    assert ask("--limit", "3") == lines[:3]
    assert ask("--limit", "1", "--device", "lab-21") == those('"id":"lab-21"')[:1]


@IN_A_FOLDER
def test_flows(store: AskedStore) -> None:
    def ask(*arguments: str) -> list[dict[str, object]]:
        return store.ask("query", "flows", "--format", "jsonl", *arguments).records

    flows = ask()
    assert len(flows) > 100
    named = ask("--name", "tiktokv.com")
    observed = store.ask(
        "query", "observations", "--name", "tiktokv.com", "--format", "jsonl"
    ).records
    handshakes = {each["community_id"] for each in observed if "sni" in each["evidence"]}
    assert {flow["community_id"] for flow in named} >= handshakes
    assert 0 < len(named) < len(flows)
    assert ask("--device", "lab-21") == [
        flow for flow in flows if flow["client"]["ip"] == "10.20.5.21"
    ]
    assert ask("--until", "2023-12-31") == [flow for flow in flows if flow["first"] < "2024"]
    assert ask("--limit", "4") == flows[:4]
    rows = list(csv.DictReader(io.StringIO(store.ask("query", "flows", "--format", "csv").output)))
    assert [int(row["bytes_in"]) for row in rows] == [flow["bytes_in"] for flow in flows]
    assert len(store.ask("query", "flows").output.splitlines()) == len(flows)


def test_coverage(store: AskedStore) -> None:
    assert store.ask("query", "coverage", "--network", "hq", "--format", "jsonl").output
    assert not store.ask("query", "coverage", "--network", "x", "--format", "jsonl").output
    rows = store.ask("query", "coverage", "--network", "hq", "--format", "csv").output
    assert {row["network"] for row in csv.DictReader(io.StringIO(rows))} == {"hq"}
    assert not store.ask("query", "coverage", "--since", "2025-01-01", "--format", "jsonl").output
    table = store.ask("query", "coverage").output
    assert "hq" in table
    assert "\noutside " in table
    assert table.startswith("2023-03-20T07:18:00Z to 2024-10-21T06:31:30Z\n")
    output = store.ask("query", "coverage", "--format", "csv").output
    rows = list(csv.DictReader(io.StringIO(output)))
    total = sum(int(row["flows"]) for row in rows if not row["device"])
    assert json.loads(store.covered)["flows"] == total


@IN_A_FOLDER
@pytest.mark.parametrize("asked", [("hq", ""), ("", "lab-21"), ("hq", "first")])
def test_coverage_has_the_rows_that_are_asked_for(
    store: AskedStore, asked: tuple[str, str]
) -> None:
    """And not all of the runs in which there are some."""
    network, device = asked
    whole = json.loads(store.covered)
    if device == "first":
        device = next(each for each in whole["networks"] if each["name"] == network)["devices"][0][
            "id"
        ]
    expected = {
        (each["name"], one["id"]): one["flows"]
        for each in whole["networks"]
        for one in [{**each, "id": ""}, *each["devices"]]
        if (not network or each["name"] == network)
        and (not device or one["id"] in ("", device))
        and (not device or any(one["id"] == device for one in each["devices"]))
    }
    options = [f"--network={network}"] * bool(network) + [f"--device={device.upper()}"] * bool(
        device
    )
    (record,) = store.ask("query", "coverage", *options, "--format", "jsonl").records
    assert {(each["name"], one["id"]): one["flows"] for each in record["networks"]
            for one in [{**each, "id": ""}, *each["devices"]]} == expected  # fmt: skip
    totals = ("flows", "named", "unnamed", "networks", "outside")
    assert {**record, **{name: whole[name] for name in totals}} == whole
    asked_for = (flows for (_, one), flows in expected.items() if bool(one) == bool(device))
    assert (record["flows"], record["outside"]["flows"]) == (sum(asked_for), 0)
    text = store.ask("query", "coverage", *options, "--format", "csv").output
    rows = {(row["network"], row["device"]): int(row["flows"])
            for row in csv.DictReader(io.StringIO(text))}  # fmt: skip
    assert rows == {key: flows for key, flows in expected.items() if key[1] or not device}
    table = store.ask("query", "coverage", *options).output
    shown = {line.split()[0] for line in table.splitlines()[2:] if line[:1].strip()}
    assert shown == {name for name, _ in expected}


@IN_A_BUCKET
def test_sql_reads_a_bucket(store: AskedStore, named: list[str]) -> None:
    """Files of all tables, and rows of the catalogue beside them."""
    (found,) = store.sql(
        "SELECT (SELECT count(*) FROM observation) AS observations,"
        " (SELECT count(DISTINCT client_ip) FROM flow WHERE day = '2023-03-20') AS clients,"
        " (SELECT count(hostname) FROM claim) AS hostnames,"
        " (SELECT list(record::VARCHAR) FROM incident) AS incidents,"
        " (SELECT count(path) FROM evidence) AS captures"
    )
    incidents = found.pop("incidents")
    assert found.pop("clients") > 3
    assert found.pop("hostnames") > 0
    assert found == {"observations": len(named), "captures": len([*PCAPS.glob("*.pcap*")])}
    assert [*map(json.loads, incidents)] == [*map(json.loads, store.scanned.splitlines())]


@IN_A_FOLDER
def test_sql_reads_the_tables(store: AskedStore, named: list[str]) -> None:
    assert store.sql("SELECT count(*) AS n FROM observation") == [{"n": len(named)}]
    (first,) = store.sql("SELECT * FROM observation ORDER BY capture, sequence LIMIT 1")
    record = json.loads(named[0])
    assert record["time"][:-1] == first["time"][: len(record["time"]) - 1]
    assert record["name"] == first["name"]
    assert record["client"]["ip"] == first["client_ip"]
    assert record["client"]["mac"] == first["client_mac"]
    incidents = store.sql("SELECT record, record->>'$.device.owner' AS owner FROM incident")
    assert [each["record"] for each in incidents] == [
        json.loads(line) for line in store.scanned.splitlines()
    ]
    assert "M. Curie" in {each["owner"] for each in incidents}
    assert store.sql("SELECT count(*) AS n FROM flow WHERE day = '2023-03-20'")[0]["n"] > 10
    claims = store.sql("SELECT DISTINCT address, hostname FROM claim")
    assert {"address": "10.20.6.30", "hostname": None} not in claims or len(claims) > 1
    assert any(each["hostname"] for each in claims)
    assert store.sql("SELECT count(*) AS n FROM coverage") == [{"n": 1}]
    assert store.sql("SELECT count(*) AS n FROM version") == [{"n": 1}]
    assert len(store.sql("SELECT path FROM evidence")) == len([*PCAPS.glob("*.pcap*")])


READS = (
    "SELECT * FROM read_parquet('{place}/observation/**/*.parquet')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('{place}/catalogue.sqlite')",
    "SELECT * FROM glob('{place}/**')",
    "SELECT * FROM glob('/etc/*')",
    "WITH x AS (SELECT * FROM read_blob('/etc/passwd')) SELECT * FROM x",
    "SELECT * FROM sniff_csv('/etc/passwd')",
)


def test_sql_opens_no_file(store: AskedStore) -> None:
    # In a bucket the files of the store are those of a file system in Python.
    for query in READS if store.path.startswith("/") else READS[:2]:
        ran = store.ask("sql", query.format(place=store.path))
        assert (ran.status, ran.output) == (2, ""), query
        assert (
            ran.errors
            == "netwatch: store sql: only the tables of the store can be read, no files\n"
        )


@IN_A_FOLDER
@pytest.mark.parametrize(
    "query",
    [
        "COPY (SELECT 1) TO '{place}/x.csv'",
        "COPY observation TO '{place}/x.parquet'",
        "ATTACH '{place}/catalogue.sqlite' AS x",
        "ATTACH ':memory:' AS x",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA version",
        "PRAGMA enable_external_access = true",
        "SET enable_external_access = true",
        "SET allowed_paths = ['/etc/passwd']",
        "RESET allowed_paths",
        "CREATE TABLE x (a INT)",
        "INSERT INTO observation SELECT * FROM observation",
        "DELETE FROM netwatch.shown",
        "UPDATE netwatch.client SET ip = ''",
        "DROP VIEW observation",
        "EXPORT DATABASE '{place}'",
        "CALL enable_logging()",
        "CHECKPOINT",
        "USE memory",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY (SELECT 1) TO '{place}/x.csv'",
        "-- nothing",
    ],
)
def test_sql_does_nothing_but_read(store: AskedStore, query: str) -> None:
    ran = store.ask("sql", query.format(place=store.path))
    assert (ran.status, ran.output) == (2, "")
    assert ran.errors.startswith("netwatch: store sql: expected one SELECT")
    assert ran.errors.count("\n") == 1


@IN_A_FOLDER
def test_sql_in_every_format(store: AskedStore) -> None:
    query = (
        "SELECT 7 AS n, 'a b' AS t, [1, 2] AS l, NULL AS x, true AS b,"
        " TIMESTAMP_NS '2023-03-20 09:00:00.5' AS at"
    )
    values = {"n": 7, "t": "a b", "l": [1, 2], "x": None, "b": True}
    assert store.sql(query) == [{**values, "at": "2023-03-20T09:00:00.500000000Z"}]
    assert store.ask("sql", query, "--format", "csv").output == (
        'n,t,l,x,b,at\n7,a b,"[1,2]",,true,2023-03-20T09:00:00.500000000Z\n'
    )
    assert store.ask("sql", query).output.splitlines() == [
        "n  t    l      x  b     at",
        "7  a b  [1,2]     true  2023-03-20T09:00:00.500000000Z",
    ]


@IN_A_FOLDER
def test_tables_are_described(store: AskedStore) -> None:
    tables = [each["table"] for each in store.ask("sql", "tables", "--format", "jsonl").records]
    expected = {"observation", "flow", "claim", "incident", "coverage", "evidence", "version",
                "fleet_case", "fleet_sensor"}  # fmt: skip
    assert {*tables} == expected
    found = set()
    for table in tables:
        columns = store.ask("sql", "describe", table, "--format", "jsonl").records
        assert len(columns) > 4
        assert all(each["meaning"] for each in columns)
        for row in store.sql(f"SELECT * FROM {table} LIMIT 1"):
            assert [each["column"] for each in columns] == list(row)
            found.add(table)
    assert found == {each for each in expected if not each.startswith("fleet_")}
    ran = store.ask("sql", "describe", "nothing")
    assert ran.status == 2
    assert "there is no table 'nothing'; expected one of observation, flow" in ran.errors


def test_status_and_verify(store: AskedStore, named: list[str]) -> None:
    (record,) = store.ask("status", "--format", "jsonl").records
    assert record["tables"]["observation"]["rows"] == len(named)
    assert record["tables"]["observation"]["first"] == "2023-03-20T07:18:00Z"
    assert record["incidents"] == store.scanned.count("\n")
    assert record["lost_rows"] == record["open_captures"] == record["partial_captures"] == 0
    assert f"observation  {len(named)}" in store.ask("status").output
    ran = store.ask("verify")
    assert (ran.status, ran.output) == (0, "")
    assert "all as they were written" in ran.errors


@IN_A_FOLDER
@pytest.mark.parametrize("device", ["lab-21", "10.20.1.21", "nobody"])
def test_facts_of_a_device_are_those_of_its_rows(store: AskedStore, device: str) -> None:
    options = netwatch_config.load(store.config).store
    assert options is not None
    with open_catalogue(options) as catalogue:
        with catalogue.database.reading() as connection:
            places = places_called(connection, device)
        clients = device_clients(catalogue, Filter(device=device), places)
        assert bool(clients) == (device != "nobody")
        if not clients:
            return
        reader = DeviceFactReader(catalogue, options)
        found = reader.read(clients, 0, END, lambda name: "tiktok" in name, 60.0)
        none = reader.read(clients, 0, 1, lambda _: True, 60.0)
        without_names = reader.read(clients, 0, END, None, 60.0)
        reader.close()
    assert (none.names, none.more_names, none.flows) == ((), False, {})
    of = f"client IN ({', '.join(map(str, clients))})"
    names = store.sql(
        "SELECT name, min(time_ns) AS first, max(time_ns) AS last, count(*) AS number"
        f" FROM observation WHERE {of} AND contains(name, 'tiktok') GROUP BY name"
        " ORDER BY last DESC, name"
    )
    assert [(each.name, each.first, each.last, each.count) for each in found.names] == [
        (row["name"], row["first"], row["last"], row["number"]) for row in names
    ]
    assert names
    assert (without_names.names, without_names.flows) == ((), found.flows)
    flows = store.sql(f"SELECT name_status, count(*) AS number FROM flow WHERE {of} GROUP BY ALL")
    assert found.flows == {row["name_status"]: row["number"] for row in flows}
