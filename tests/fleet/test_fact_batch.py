"""Batches of facts, as sensors send them and as a broken sensor might."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from support.made_facts import DAY, made_batches

from netwatch.fleet.envelope import EnvelopeError
from netwatch.fleet.fact_batch import FactBatch, RunKey, pack, unpack
from netwatch.store import fact_tables, tables
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import chunk_schema, schema
from netwatch.store.landing import Landing, numbered
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import ClientAddress

RUN = RunKey(started=1, command="live", versions=("1", "s", "b", "c"), position=0)
NOW = DAY + 86_400 * 10**9
CLIENTS = [ClientAddress(f"10.1.0.{number}", None, "hq", "service") for number in range(50)]


def made(rows: int = 600) -> pa.Table:
    """Rows of a batch."""
    found = pa.Table.from_batches(made_batches(rows, names=200))
    layout = chunk_schema("observation")
    places = pa.array([number % len(CLIENTS) for number in range(rows)], pa.int32())
    times = pa.array([DAY + number for number in range(rows)], pa.int64())
    others = {"client": places, "time": times}
    columns = [others.get(name, found[name]) for name in layout.names]
    return fact_tables.combined(pa.table(columns, schema=layout))


def forged(rows: pa.Table, **options: Any) -> bytes:
    """A batch whose Parquet file is written by another program."""
    head = zlib.compress(
        b'{"run":{"started":1,"command":"live","versions":null,"position":0},'
        b'"clients":[["10.1.0.1",null,null,null,null,null]]}'
    )
    stream = io.BytesIO()
    parquet.write_table(rows, stream, **options)
    return struct.pack(">I", len(head)) + head + stream.getvalue()


def test_a_batch_is_read_as_it_was_sent() -> None:
    batch = FactBatch("observation", RUN, CLIENTS, made())
    found = unpack("observation", pack(batch), NOW)
    assert (found.run, found.clients) == (RUN, CLIENTS)
    assert found.rows.schema == chunk_schema("observation")
    assert found.rows.to_pylist() == batch.rows.to_pylist()


def test_an_older_sensor_does_not_know_how_flows_were_sampled() -> None:
    layout = chunk_schema("flow")
    values: dict[str, Any] = {"text": "tcp", "bool": True}
    row = {
        column.name: None if column.nullable else values.get(column.kind, 0)
        for column in tables.FLOW
        if column.name != "capture"
    }
    rows = pa.Table.from_pylist([row | {"first": DAY, "last": DAY, "sampling": 9}], layout)
    assert unpack("flow", forged(rows), NOW).rows["sampling"].to_pylist() == [9]
    found = unpack("flow", forged(rows.drop_columns(["sampling"])), NOW).rows
    assert found.schema == layout
    assert found["sampling"].to_pylist() == [None]
    with pytest.raises(EnvelopeError):
        unpack("flow", forged(rows.drop_columns(["log_format"])), NOW)


def test_a_dictionary_of_texts_that_no_row_has_is_not_kept() -> None:
    rows = made().slice(0, 20)
    rows = rows.set_column(
        rows.schema.get_field_index("client"), "client", pa.array([0] * 20, pa.int32())
    )
    names = pa.array([f"n{number}.example" for number in range(5000)])
    column = pa.DictionaryArray.from_arrays(pa.array([*range(20)], pa.int32()), names)
    rows = rows.set_column(rows.schema.get_field_index("name"), "name", column)
    found = unpack("observation", forged(rows), NOW)
    assert found.rows["name"].to_pylist() == names.to_pylist()[:20]
    assert len(found.rows["name"].chunk(0).dictionary) == 20


@pytest.mark.parametrize("use_dictionary", [True, False])
def test_texts_that_are_no_utf8_are_refused(use_dictionary: bool) -> None:
    rows = made()
    raw = pa.array([b"\xff\xfe"] * rows.num_rows, pa.binary()).view(pa.string())
    rows = rows.set_column(rows.schema.get_field_index("name"), "name", raw)
    with pytest.raises(EnvelopeError, match="UTF8"):
        unpack("observation", forged(rows, use_dictionary=use_dictionary, store_schema=False), NOW)


def test_large_batches_keep_their_dictionaries_in_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fact_tables, "LARGE_CHUNK", 500)
    files = FactFiles(str(tmp_path))
    with open_catalogue(StoreOptions(str(tmp_path)), create=True) as catalogue:
        landing = Landing(files, catalogue)
        expected: list[dict[str, Any]] = []
        for rows in (600, 40, 700, 50):
            batch = unpack(
                "observation", pack(FactBatch("observation", RUN, CLIENTS, made(rows))), NOW
            )
            for part in batch.rows.to_batches():
                ready = numbered(part, "observation", 1, [*range(100, 150)])
                landing.add("observation", ready)
                expected += ready.to_pylist()
        landing.flush()
        (row,) = catalogue.files("observation")
        assert row.rows == len(expected)
        groups = parquet.ParquetFile(tmp_path / row.path).metadata
        sizes = [groups.row_group(number).num_rows for number in range(groups.num_row_groups)]
        assert sizes == [600, 700, 90]
        found = fact_tables.read_file(files, row)
        assert found.schema == schema("observation")
        assert sorted(map(repr, found.to_pylist())) == sorted(map(repr, expected))
