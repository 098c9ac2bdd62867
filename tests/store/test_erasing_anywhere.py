"""Erasing in every kind of store: a folder, PostgreSQL, a bucket."""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from pyarrow import parquet
from sqlalchemy import insert, select, text
from support.erasable import (
    CONFIGURATION,
    HOST,
    ID,
    IP_,
    MAC,
    OTHER_IP,
    OWNER,
    WORDS,
    write_cases,
    write_files,
)

from netwatch.cli import main
from netwatch.console import tables as console_tables
from netwatch.console.audit import Audit
from netwatch.console.database import open_console
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue_tables import metadata
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions


def look(options: StoreOptions) -> None:
    """Let the console note that somebody looked at her, why, and who asked of whom a pseudonym is;
    without SQLite it is in the database of the catalogue."""
    database = open_console(options)
    try:
        detail = {"filter": {"device": MAC}}
        Audit(database).add("device", account="ben", subject=f"device {IP_}", purpose=f"of {OWNER}",
                            detail=detail)  # fmt: skip
        with database.writing() as connection:
            stated = {"session": "s", "subject": "x", "purpose": f"about {OWNER}", "until": 1 << 62}
            connection.execute(insert(console_tables.purpose).values(stated))
    finally:
        database.close()
    with open_catalogue(options) as catalogue:
        catalogue.add_journal("root", "identify", {"pseudonym": "p1", "reason": f"of {OWNER}"})


def said(options: StoreOptions) -> Iterator[str]:
    """All texts of a store: rows of the catalogue, bytes and rows of files."""
    with open_catalogue(options) as catalogue, catalogue.database.reading() as connection:
        for table in metadata.sorted_tables:
            for row in connection.execute(table.select()):
                yield " ".join(map(str, row))
        if options.catalogue:
            for table in console_tables.metadata.sorted_tables:
                for row in connection.execute(table.select()):
                    yield " ".join(map(str, row))
    filesystem, root = fsspec.url_to_fs(options.path)
    filesystem.invalidate_cache()
    for path in filesystem.find(root):
        raw = filesystem.cat_file(path)
        yield raw.decode("latin-1")
        if path.endswith(".parquet"):
            for row in parquet.read_table(io.BytesIO(raw)).to_pylist():
                yield json.dumps(row, default=lambda value: value.decode(), ensure_ascii=False)


def mentioned(options: StoreOptions) -> set[str]:
    texts = [each.lower() for each in said(options)]
    return {word for word in WORDS if any(word.lower() in each for each in texts)}


@pytest.mark.parametrize("compacted", [False, True])
def test_nothing_is_left_in_any_kind_of_store(
    options: StoreOptions,
    compacted: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_files(folder)
    store = f'store: {{path: "{options.path}"'
    store += f', catalogue: "{options.catalogue}"}}' if options.catalogue else "}"
    (folder / "netwatch.yaml").write_text(
        CONFIGURATION.replace("store: {path: store}", store).replace("outputs:", "outputs: []\n#")
        .replace("\n  - {name: siem", "\n#")
    )  # fmt: skip
    scan = ["scan", "-q", "--store", "--coverage", "--format", "jsonl", "-o", "alerts.jsonl"]
    assert main([*scan, "day.pcap"]) == 0
    write_cases(options, folder / "alerts.jsonl")
    look(options)
    if compacted:
        assert main(["store", "compact"]) == 0
    assert {IP_, MAC, HOST, OWNER, ID} <= mentioned(options)
    assert main(["store", "erase", "--yes", "--device", ID, "--state", "none"]) == 0
    assert mentioned(options) == set()
    assert main(["store", "verify"]) == 0
    capsys.readouterr()
    assert main(["store", "query", "incidents", "--format", "jsonl"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {record["device"]["ip"] for record in records} == {OTHER_IP}
    with open_catalogue(options) as catalogue, catalogue.database.reading() as connection:
        case, word = tables.fleet_case.c, tables.fleet_case_word.c
        assert connection.execute(select(case.device, case.sensors)).all() == [(OTHER_IP, 2)]
        named = connection.execute(select(word.sensor, word.incident).distinct()).all()
        assert sorted(named) == [("one", records[0]["id"]), ("two", records[0]["id"])]


def test_no_file_of_postgresql_has_what_was_erased(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_files(folder)
    options = StoreOptions(str(folder / "store"), postgres_url)
    (folder / "netwatch.yaml").write_text(
        CONFIGURATION.replace("{path: store}", f'{{path: store, catalogue: "{postgres_url}"}}')
    )
    assert main(["scan", "-q", "--store", "--coverage", "day.pcap"]) == 0
    look(options)

    def relations() -> list[str]:
        """The files of the tables that name people, as the server has them on its disk."""
        with open_catalogue(options) as catalogue, catalogue.database.reading() as connection:
            connection.execute(text("SELECT 1"))
            data = connection.execute(text("SHOW data_directory")).scalar_one()
            every = (*metadata.sorted_tables, *console_tables.metadata.sorted_tables)
            names = [table.name for table in every]
            query = text("SELECT pg_relation_filepath(cast(:name AS regclass))")
            found = [connection.execute(query, {"name": name}).scalar_one() for name in names]
        return [os.path.join(data, path) for path in found]  # noqa: PTH118 - a place of the server

    def raw() -> bytes:
        with open_catalogue(options) as catalogue:
            connection = catalogue.database.engine.connect()
            with connection.execution_options(isolation_level="AUTOCOMMIT") as server:
                server.execute(text("CHECKPOINT"))
        return b"".join(Path(path).read_bytes() for path in relations()).lower()

    assert IP_.encode() in raw()
    assert f"about {OWNER}".lower().encode() in raw()
    before = set(relations())
    assert main(["store", "erase", "--yes", "--device", ID, "--state", "none"]) == 0
    found = raw()
    assert not [word for word in WORDS if word.lower().encode() in found]
    assert not [path for path in before - set(relations()) if Path(path).exists()
                and Path(path).stat().st_size]  # fmt: skip
