"""Sites with equal private addresses in one store: nobody gets what another site's device did."""

import json
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import select, text
from support.asked_stores import Ran, run
from support.made_store import EMPTY

from netwatch import __version__
from netwatch.fleet.envelope import Envelope
from netwatch.fleet.fact_batch import FactBatch, RunKey, pack
from netwatch.fleet.fact_commits import FactCommits
from netwatch.privacy import Keyring, PseudonymKey, Sealing
from netwatch.store import catalogue_tables as tables
from netwatch.store.fact_tables import chunk_schema
from netwatch.store.flow_rows import new_key
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.person import Identity, identify, stored_clients
from netwatch.store.run_rows import ClientAddress
from netwatch.store.tables import FACTS

IP = "10.0.0.5"
MACS = ("02:00:00:00:00:05", "02:00:00:00:01:05")
SEALING = Sealing(Keyring(PseudonymKey.of("k" * 32)))
SECOND = 1_000_000_000
BEGAN = 1_680_508_800 * SECOND  # 2023-04-03T08:00:00Z, a day on which the ban is in force
RUN = RunKey(started=1, command="live", versions=("1", "s", "b", "c"), position=0)
OFFICE = ClientAddress(IP, None, "office", "service")
HOME = ClientAddress(IP, None, "homes", "guest")
CONFIG = """version: 1
networks:
  - {{name: {network}, cidrs: [10.0.0.0/24], class: service}}
bans:
  - {{id: our-rule, authority: City, apps: [tiktok], forbids: [service]}}
store: {store}
{more}
"""


def table_of(table: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a sensor packs them, whose clients are places."""
    layout = chunk_schema(table)
    empty = {each.name: None if each.nullable else EMPTY[each.kind] for each in FACTS[table]}
    made = [empty | dict(row) for row in rows]
    arrays = []
    for field in layout:
        values = [row[field.name] for row in made]
        if pa.types.is_dictionary(field.type):
            arrays.append(pa.array(values, pa.string()).dictionary_encode().cast(field.type))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.table(arrays, schema=layout)


def hello(name: str, at: int, client: int = 0) -> dict[str, Any]:
    """A ClientHello that a client showed, `at` seconds after the beginning."""
    return {
        "sequence": at, "time": BEGAN + at * SECOND, "time_digits": 6, "evidence": "tls-sni",
        "name": name, "client": client, "client_port": 50_000 + at, "server_ip": "203.0.113.10",
        "server_port": 443, "transport": "tcp", "source": "eth0", "packet": at + 1,
        "flow": 1000 + at, "tls_version": "1.3",
    }  # fmt: skip


def flow(at: int, client: int = 0) -> dict[str, Any]:
    """The flow of such a hello."""
    begin = BEGAN + at * SECOND
    return {
        "sequence": 100 + at, "first": begin, "last": begin + SECOND, "client": client,
        "client_port": 50_000 + at, "server_ip": "203.0.113.10", "server_port": 443,
        "transport": "tcp", "source": "eth0", "packet": at + 1, "flow": 1000 + at,
        "name_status": "named", "bytes_out": 1000, "bytes_in": 50_000,
    }  # fmt: skip


class Centre:
    """A store that sensors fill by the centre's code."""

    def __init__(self, options: StoreOptions) -> None:
        self.options = options
        self._commits = FactCommits(options, new_key())
        self._epoch = uuid.uuid4().hex
        self._sent: defaultdict[str, int] = defaultdict(int)

    def take(
        self, sensor: str, clients: list[ClientAddress], rows: list[dict[str, Any]],
        table: str = "observation",
    ) -> None:  # fmt: skip
        """Commit a batch of a sensor."""
        after = self._sent[sensor]
        self._sent[sensor] += 1
        envelope = Envelope(
            sensor=sensor, kind="facts", sequence=after + 1, sent=time.time_ns(),
            version=__version__, id=f"{sensor}.{after}",
            payload=pack(FactBatch(table, RUN, clients, table_of(table, rows))),
            fields={"table": table, "epoch": self._epoch, "after": after},
        )  # fmt: skip
        self._commits.prepare([envelope])
        done = self._commits.finish()
        assert not done.refused, done.refused

    def close(self) -> None:
        """Close the store."""
        self._commits.close()

    def rows(self) -> list[tuple[Any, ...]]:
        """Sensor, network and address of each client."""
        column = tables.client.c
        with open_catalogue(self.options) as catalogue, catalogue.database.reading() as connection:
            rows = connection.execute(select(column.sensor, column.network, column.ip)).all()
        return [tuple(row) for row in rows]

    def clients(self) -> set[tuple[Any, ...]]:
        """The same, where no two are equal."""
        found = self.rows()
        assert len(found) == len(set(found))
        return set(found)

    def ask(self, folder: Path, *arguments: str, network: str = "office", more: str = "") -> Ran:
        """Run a command with a configuration of the centre."""
        path, database = self.options.path, self.options.catalogue
        store = {"path": path, **({"catalogue": database} if database else {})}
        config = folder / f"{network}.yaml"
        config.write_text(CONFIG.format(network=network, store=json.dumps(store), more=more))
        ran = run(*arguments, "-c", str(config))
        assert ran.status == 0, ran.errors
        return ran


@pytest.fixture
def options(catalogue_options: StoreOptions) -> StoreOptions:
    """Whose a client is, the catalogue knows; the files are in a folder."""
    return catalogue_options


@pytest.fixture
def centre(options: StoreOptions) -> Centre:
    """A centre of two sites that use the same address: the first one's device is in the office, the
    other one's, which is at somebody's home, calls the banned app."""
    made = Centre(options)
    made.take("ghent-1", [OFFICE], [hello("www.example.org", 1)])
    made.take("ghent-1", [OFFICE], [flow(1)], "flow")
    made.take("liege-1", [HOME], [hello("www.tiktok.com", 2)])
    made.take("liege-1", [HOME], [flow(2)], "flow")
    made.close()
    return made


def test_two_sites_have_two_clients(centre: Centre) -> None:
    assert centre.clients() == {("ghent-1", "office", IP), ("liege-1", "homes", IP)}


def test_each_record_says_where_it_is_from(centre: Centre, tmp_path: Path) -> None:
    seen = ("query", "observations", "--device", IP, "--format")
    found = centre.ask(tmp_path, "store", *seen, "jsonl").records
    assert [(each["name"], each["client"]["network"], each["sensor"]) for each in found] == [
        ("www.example.org", "office", "ghent-1"),
        ("www.tiktok.com", "homes", "liege-1"),
    ]
    for name, network in (("www.tiktok.com", "homes"), ("www.example.org", "office")):
        asked = ("store", "query", "observations", "--network", network, "--format", "jsonl")
        assert [each["name"] for each in centre.ask(tmp_path, *asked).records] == [name]
    flows = centre.ask(tmp_path, "store", "query", "flows", "--device", IP, "--format", "jsonl")
    assert [(each["client"]["network"], each["sensor"]) for each in flows.records] == [
        ("office", "ghent-1"),
        ("homes", "liege-1"),
    ]
    lines = centre.ask(tmp_path, "store", "query", "flows").output.splitlines()
    assert [line.split()[-2:] for line in lines] == [["office", "ghent-1"], ["homes", "liege-1"]]
    query = "SELECT client_ip, client_network, sensor FROM {} ORDER BY sensor"
    for table in ("observation", "flow"):
        rows = centre.ask(tmp_path, "store", "sql", query.format(table), "--format", "jsonl")
        assert [list(row.values()) for row in rows.records] == [
            [IP, "office", "ghent-1"],
            [IP, "homes", "liege-1"],
        ]


@pytest.mark.parametrize("options", ["sqlite"], indirect=True)
@pytest.mark.parametrize("format_", ["table", "csv", "ecs", "arrow", "parquet"])
def test_every_format_says_it(centre: Centre, tmp_path: Path, format_: str) -> None:
    output = tmp_path / "output"
    asked = ("store", "query", "observations", "--format", format_, "-o", str(output))
    centre.ask(tmp_path, *asked)
    if format_ == "parquet":
        from pyarrow import parquet

        found = parquet.read_table(output, columns=["client_network", "sensor"]).to_pylist()
        assert found == [
            {"client_network": "office", "sensor": "ghent-1"},
            {"client_network": "homes", "sensor": "liege-1"},
        ]
        return
    content = output.read_bytes()
    assert all(word in content for word in (b"office", b"ghent-1", b"homes", b"liege-1"))


def test_a_store_of_one_sensor_gives_what_names_gives(
    options: StoreOptions, tmp_path: Path
) -> None:
    made = Centre(options)
    made.take("ghent-1", [OFFICE], [hello("www.example.org", 1)])
    made.close()
    asked = ("store", "query", "observations", "--format", "jsonl")
    (record,) = made.ask(tmp_path, *asked).records
    assert "sensor" not in record
    assert "network" not in record["client"]


def test_networks_of_one_name_are_one_client_for_each_sensor(options: StoreOptions) -> None:
    made = Centre(options)
    for sensor in ("ghent-1", "liege-1", "ghent-1"):
        made.take(sensor, [OFFICE], [hello("www.example.org", 1)])
    made.close()
    assert made.clients() == {("ghent-1", "office", IP), ("liege-1", "office", IP)}


def test_clients_outside_all_networks_are_of_their_sensor(options: StoreOptions) -> None:
    made = Centre(options)
    outside = ClientAddress(IP, None)
    for sensor in ("ghent-1", "liege-1"):
        made.take(sensor, [outside], [hello("www.example.org", 1)])
    made.close()
    assert made.clients() == {("ghent-1", None, IP), ("liege-1", None, IP)}


def test_a_network_that_is_renamed_gives_a_second_client(
    options: StoreOptions, tmp_path: Path
) -> None:
    made = Centre(options)
    made.take("ghent-1", [OFFICE], [hello("www.example.org", 1)])
    made.take("ghent-1", [HOME, OFFICE], [hello("www.example.net", 2), hello("a.example", 3, 1)])
    made.close()
    assert made.clients() == {("ghent-1", "office", IP), ("ghent-1", "homes", IP)}
    query = "SELECT name, client_network FROM observation ORDER BY name"
    rows = made.ask(tmp_path, "store", "sql", query, "--format", "jsonl").records
    assert [(row["name"], row["client_network"]) for row in rows] == [
        ("a.example", "office"),
        ("www.example.net", "homes"),
        ("www.example.org", "office"),
    ]
    erased = made.ask(tmp_path, "store", "erase", "--device", IP, "--yes", "--format", "jsonl")
    assert (erased.records[0]["clients"], erased.records[0]["rows"]) == (2, 3)


def test_devices_of_one_pseudonym_are_of_their_sensor(
    options: StoreOptions, tmp_path: Path
) -> None:
    made = Centre(options)
    sealed = SEALING.seal_client("", IP, None)
    hidden = ClientAddress(None, None, None, None, sealed.pseudonym, sealed.sealed)
    for sensor in ("ghent-1", "liege-1"):
        made.take(sensor, [hidden], [hello("www.example.org", 1)])
    made.close()
    assert made.clients() == {("ghent-1", None, None), ("liege-1", None, None)}
    asked = ("store", "query", "observations", "--device", sealed.pseudonym, "--format", "jsonl")
    assert [each["sensor"] for each in made.ask(tmp_path, *asked).records] == ["ghent-1", "liege-1"]


def test_a_pseudonym_is_taken_back_to_the_device_of_its_network(options: StoreOptions) -> None:
    made = Centre(options)
    there = {
        network: ClientAddress(None, None, network, "guest", *astuple(sealed))
        for network, mac in (("office", MACS[0]), ("homes", MACS[1]))
        for sealed in [SEALING.seal_client(network, IP, mac)]
    }
    made.take("ghent-1", [there["office"]], [hello("www.example.org", 1)])
    made.take("liege-1", [there["homes"]], [hello("www.tiktok.com", 2)])
    made.close()
    with open_catalogue(options) as catalogue:
        clients = list(stored_clients(catalogue, SEALING))
    found = identify(there["homes"].pseudonym or "", SEALING.keys, (), clients, ())
    assert found == Identity("homes", IP, (IP,), (MACS[1],), sensors=("liege-1",))


def test_erasure_finds_all_and_says_where_they_are(centre: Centre, tmp_path: Path) -> None:
    erased = centre.ask(tmp_path, "store", "erase", "--device", IP, "--yes", "--format", "jsonl")
    assert (erased.records[0]["clients"], erased.records[0]["rows"]) == (2, 4)
    assert "homes (sensor liege-1), office (sensor ghent-1)" in erased.errors
    assert not centre.clients()


@pytest.mark.parametrize(("network", "sensors"), [("office", []), ("homes", ["liege-1"])])
def test_nobody_is_judged_by_the_network_of_another_site(
    centre: Centre, tmp_path: Path, network: str, sensors: list[str]
) -> None:
    alerts = ("rejudge", "--all", "--format", "jsonl")
    ran = centre.ask(tmp_path, *alerts, network=network)
    assert [each["sensor"]["name"] for each in ran.records] == sensors
    is_left_out = "1 client and 0 incidents not judged" in ran.errors
    assert is_left_out == (not sensors)
    lines = centre.ask(tmp_path, "rejudge", network=network).output
    assert lines.count("new ") == len(sensors)
    assert (f"{IP} in homes (liege-1)" in lines) == bool(sensors)


def test_a_store_of_one_sensor_is_judged_by_other_networks(
    options: StoreOptions, tmp_path: Path
) -> None:
    made = Centre(options)
    made.take("liege-1", [HOME], [hello("www.tiktok.com", 2)])
    made.close()
    ran = made.ask(tmp_path, "rejudge", "--all", "--format", "jsonl", network="renamed")
    assert [each["network"]["name"] for each in ran.records] == ["renamed"]


def make_older(made: Centre) -> None:
    """Make of a store one of version 4."""
    with (
        open_catalogue(made.options) as catalogue,
        catalogue.database.writing() as connection,
    ):
        connection.execute(text("DROP INDEX client_address"))
        connection.execute(text("ALTER TABLE client DROP COLUMN sensor"))
        connection.execute(text("CREATE INDEX client_address ON client (ip, mac)"))
        connection.execute(text("ALTER TABLE run DROP COLUMN named"))
        connection.execute(text("ALTER TABLE store DROP COLUMN flow_key"))
        connection.execute(text("UPDATE store SET schema = 4"))
        if not made.options.catalogue:
            connection.exec_driver_sql("PRAGMA user_version = 4")


def test_older_clients_get_the_sensor_that_wrote_all(options: StoreOptions) -> None:
    made = Centre(options)
    made.take("ghent-1", [OFFICE], [hello("www.example.org", 1)])
    made.close()
    make_older(made)
    again = Centre(options)
    again.take("ghent-1", [OFFICE], [hello("www.example.org", 2)])
    again.close()
    assert made.clients() == {("ghent-1", "office", IP)}


def test_older_clients_of_several_sensors_are_in_no_network(centre: Centre, tmp_path: Path) -> None:
    with (
        open_catalogue(centre.options) as catalogue,
        catalogue.database.writing() as connection,
    ):
        # As version 4 stored them: one client, in the network of whoever came first.
        connection.execute(text("UPDATE client SET network = 'office', class = 'service'"))
    make_older(centre)
    query = "SELECT client_network, sensor FROM observation ORDER BY sensor"
    rows = centre.ask(tmp_path, "store", "sql", query, "--format", "jsonl").records
    assert [list(row.values()) for row in rows] == [[None, "ghent-1"], [None, "liege-1"]]
    ran = centre.ask(tmp_path, "rejudge", "--all", "--format", "jsonl")
    assert not ran.records
    again = Centre(centre.options)
    again.take("liege-1", [HOME], [hello("www.tiktok.com", 2)])
    again.close()
    assert ("liege-1", "homes", IP) in {tuple(each) for each in again.rows()}
    erased = centre.ask(tmp_path, "store", "erase", "--device", IP, "--yes", "--format", "jsonl")
    assert (erased.records[0]["clients"], erased.records[0]["rows"]) == (3, 5)
