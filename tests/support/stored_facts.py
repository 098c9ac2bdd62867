"""What a store has, read with SQLite and DuckDB alone."""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb


def catalogue_rows(store: Path, statement: str) -> list[tuple[Any, ...]]:
    """The rows that a statement gives from the catalogue."""
    with closing(sqlite3.connect(store / "catalogue.sqlite")) as database:
        return database.execute(statement).fetchall()


def registered(store: Path, table: str) -> list[Path]:
    """The files of a table that readers see. Each is as it was written."""
    found = []
    for path, digest, size in catalogue_rows(
        store, f"SELECT path, sha256, bytes FROM file WHERE \"table\" = '{table}'"
    ):
        octets = (store / path).read_bytes()
        assert (len(octets), hashlib.sha256(octets).hexdigest()) == (size, digest), path
        found.append(store / path)
    return found


def on_disk(store: Path) -> set[Path]:
    """All files of facts, with those that are being written."""
    others = ("catalogue", ".lock")
    return {
        path
        for path in store.rglob("*")
        if path.is_file() and not any(name in path.name for name in others)
    }


def facts(store: Path, table: str, columns: Sequence[str] = ("*",)) -> list[tuple[Any, ...]]:
    """The rows of a table in the order of capture and sequence, with the client as its address and
    MAC."""
    paths = registered(store, table)
    if not paths:
        return []
    chosen = ", ".join(columns)
    with duckdb.connect() as database:
        database.execute("CREATE TABLE client (number INTEGER, address VARCHAR, hardware VARCHAR)")
        clients = catalogue_rows(store, "SELECT number, ip, mac FROM client")
        if clients:
            database.executemany("INSERT INTO client VALUES (?, ?, ?)", clients)
        names = [str(path) for path in paths]
        return database.execute(
            f"SELECT {chosen} FROM read_parquet($names, hive_partitioning = false) AS row"
            " JOIN client ON row.client = client.number ORDER BY capture, sequence",
            {"names": names},
        ).fetchall()


def incident_lines(store: Path) -> list[str]:
    """The records of incidents in the order in which they were stored."""
    return [
        line for (line,) in catalogue_rows(store, "SELECT record FROM incident ORDER BY position")
    ]


def coverage_records(store: Path) -> list[Any]:
    """The records of coverage."""
    rows = catalogue_rows(store, "SELECT record FROM coverage ORDER BY run, part")
    return [json.loads(line) for (line,) in rows]
