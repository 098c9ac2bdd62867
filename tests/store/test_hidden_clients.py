"""Observations and flows of clients that have a pseudonym, or of which the catalogue knows nothing
any more, are shown in every format."""

import json
from pathlib import Path

import pytest
from support.asked_stores import AskedStore, run
from support.made_store import observation_row, write_rows
from support.paths import PCAPS

from netwatch.capture.files import find_captures
from netwatch.core.statistics import RunStatistics
from netwatch.engine import pipeline
from netwatch.store.catalogue import SourceFile
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import ClientAddress

PSEUDONYM = "p3f9a-k7q2m5xw4n6b3c2d"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> AskedStore:
    folder = tmp_path_factory.mktemp("store")
    options = StoreOptions(str(folder / "kept"))
    config = folder / "netwatch.yaml"
    config.write_text(f"version: 1\nstore: {{path: {json.dumps(options.path)}}}\n")
    with open_catalogue(options, create=True) as catalogue:
        run_ = catalogue.begin_run("names", "sensor")
        capture = catalogue.begin_capture(run_, 0, [SourceFile("a", 1, "")], "content")
        (client,) = catalogue.client_numbers(
            [ClientAddress(None, None, "guests", "guest", PSEUDONYM, b"sealed")], "sensor"
        )
        unknown = 5 if client != 5 else 6
        rows = []
        files = find_captures([str(PCAPS / "office-day.pcap")])
        for batch in pipeline.names(files, RunStatistics()):
            for seen in batch.observations():
                number = unknown if len(rows) % 2 else client
                rows.append(observation_row(seen, number, capture, len(rows)))
        write_rows(catalogue, options, "observation", rows, compacted=True)
        catalogue.end_capture(capture, "complete", 1, 2)
        catalogue.end_run(run_)
    return AskedStore(str(config), options.path, "", "")


def test_the_pseudonym_takes_the_place_of_the_address(store: AskedStore) -> None:
    records = store.ask("query", "observations", "--format", "jsonl").records
    named = run("names", "-q", str(PCAPS / "office-day.pcap"), "--format", "jsonl").records
    assert [each["name"] for each in records] == [each["name"] for each in named]
    assert {each["client"].get("ip") for each in records[0::2]} == {PSEUDONYM}
    assert {each["client"].get("ip") for each in records[1::2]} == {"unknown"}
    assert not any("mac" in each["client"] for each in records)
    # That of the address would tell which address it is, after a few thousand attempts.
    ids = {each["community_id"] for each in named}
    assert not any(each["community_id"] in ids for each in records)


@pytest.mark.parametrize("format_", ["table", "csv", "ecs", "parquet", "arrow"])
def test_every_format_has_it(store: AskedStore, format_: str, tmp_path: Path) -> None:
    output = tmp_path / "output"
    ran = store.ask("query", "observations", "--format", format_, "-o", str(output))
    assert (ran.status, ran.errors.count("\n")) == (0, ran.errors.count("netwatch: no "))
    assert PSEUDONYM.encode() in output.read_bytes()


def test_it_can_be_asked_for(store: AskedStore) -> None:
    found = store.ask("query", "observations", "--device", PSEUDONYM, "--format", "jsonl").records
    everything = store.ask("query", "observations", "--format", "jsonl").records
    assert found == everything[0::2]
    rows = store.sql("SELECT DISTINCT client_ip, client_mac, client_network FROM observation")
    assert {(row["client_ip"], row["client_mac"], row["client_network"]) for row in rows} == {
        (PSEUDONYM, None, "guests"),
        (None, None, None),
    }
