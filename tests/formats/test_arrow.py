"""Arrow and Parquet: what pyarrow reads back is what the JSON records have."""

import io
import json
from collections.abc import Iterable
from functools import cache
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.interpreted import all_interpreted
from support.made_batches import BATCHES
from support.made_records import BARE, FULL
from support.observing import batch_of
from support.paths import PCAPS

from netwatch.capture.files import find_captures
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.observation_columns import COLUMNS
from netwatch.core.statistics import RunStatistics
from netwatch.engine import pipeline
from netwatch.formats import arrow_rows, column_buffers
from netwatch.formats.arrow_rows import ArrowWriter, ParquetWriter
from netwatch.formats.line_writer import observation_record
from netwatch.formats.registry import BINARY_FORMATS
from netwatch.formats.values import json_line, rfc3339

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

NANOSECONDS = pa.int64()


def records(batch: ObservationBatch) -> list[dict[str, Any]]:
    """The records as a strict reader of JSON gets them."""
    return [
        json.loads(json_line(observation_record(batch, row)))
        for start, stop in batch.spans
        for row in range(start, stop)
    ]


def records_of(table: Any) -> list[dict[str, Any]]:
    """The same from a table that was read back."""
    times = table.column("time").cast(NANOSECONDS).to_pylist()
    digits = table.column("time_digits").to_pylist()
    others = [each.name for each in COLUMNS if each.name != "time"]
    found = []
    for time, shown, values in zip(times, digits, table.select(others).to_pylist(), strict=True):
        record: dict[str, Any] = {}
        values["time"] = rfc3339(time, shown)
        for column in COLUMNS:
            if values[column.name] is not None:
                *groups, key = column.path
                place = record
                for group in groups:
                    place = place.setdefault(group, {})
                place[key] = values[column.name]
        found.append(record)
    return found


def written(batches: Iterable[ObservationBatch], kind: str) -> bytes:
    out = io.BytesIO()
    writer = BINARY_FORMATS[kind].writer(out)
    for batch in batches:
        writer.observations(batch)
    writer.end()
    return out.getvalue()


def read(data: bytes, kind: str) -> Any:
    if kind == "arrow":
        return pa.ipc.open_stream(data).read_all()
    return parquet.read_table(io.BytesIO(data))


@given(BATCHES)
@example(batch_of(BARE, FULL))
@settings(deadline=None)
def test_a_record_batch_has_the_records_of_its_rows(batch: ObservationBatch) -> None:
    found = arrow_rows.record_batch(batch)
    found.validate(full=True)
    assert records_of(pa.Table.from_batches([found])) == records(batch)
    assert [list(each) for each in records(batch)] == [
        list(each) for each in records_of(pa.Table.from_batches([found]))
    ]


@pytest.mark.parametrize("kind", BINARY_FORMATS)
@given(st.lists(BATCHES, max_size=4))
@examples(25, deadline=None)
def test_batches_with_their_own_dictionaries_are_one_file(
    kind: str, batches: list[ObservationBatch]
) -> None:
    table = read(written(batches, kind), kind)
    assert records_of(table) == [record for batch in batches for record in records(batch)]


@cache
def interpreted() -> dict[str, ModuleType]:
    return all_interpreted("netwatch.formats.arrow_rows", "netwatch.core.observation_batch")


@given(BATCHES)
@examples(25, deadline=None)
def test_the_interpreted_form_gives_the_same(batch: ObservationBatch) -> None:
    modules = interpreted()
    _, state = batch.__reduce__()
    again = modules["netwatch.core.observation_batch"].restored(*state)
    found = modules["netwatch.formats.arrow_rows"].record_batch(again)
    assert found.equals(arrow_rows.record_batch(batch), check_metadata=True)


@pytest.mark.parametrize("kind", BINARY_FORMATS)
def test_sample_captures_are_read_back(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_rows, "ROW_GROUP", 50)
    expected: list[dict[str, Any]] = []

    def batches() -> Iterable[ObservationBatch]:
        for found in find_captures([str(PCAPS)]):
            for batch in pipeline.names([found], RunStatistics()):
                expected.extend(records(batch))
                yield batch

    data = written(batches(), kind)
    assert len(expected) > 300
    assert records_of(read(data, kind)) == expected
    if kind == "parquet":
        groups = parquet.ParquetFile(io.BytesIO(data)).metadata
        assert groups.num_row_groups > 1
        assert all(groups.row_group(i).num_rows >= 50 for i in range(groups.num_row_groups - 1))


def test_the_schema_says_what_it_is() -> None:
    layout = arrow_rows.schema()
    assert layout.metadata == {b"schema": b"netwatch.observation/1"}
    assert [each.name for each in layout if each.name != "time_digits"] == [
        column.name for column in COLUMNS
    ]
    assert layout.field("time").type == pa.timestamp("ns", tz="UTC")
    assert layout.field("client_port").type == pa.uint16()
    assert layout.field("packet").type == pa.uint64()
    assert layout.field("dns_answers").type == pa.list_(
        pa.field("element", pa.string(), nullable=False)
    )
    for kind in BINARY_FORMATS:
        found = read(written([batch_of(BARE)], kind), kind).schema
        assert found.metadata[b"schema"] == b"netwatch.observation/1"
        assert found.names == layout.names


def test_parquet_has_zstd_and_statistics_of_numbers() -> None:
    data = written([batch_of(BARE, FULL)], "parquet")
    group = parquet.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    columns = [group.column(index) for index in range(group.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    assert {column.path_in_schema for column in columns if column.is_stats_set} == {
        "time", "client_port", "server_port", "vlan", "packet", "log_line"
    }  # fmt: skip


@pytest.mark.parametrize("kind", BINARY_FORMATS)
def test_no_observations_are_an_empty_table(kind: str) -> None:
    table = read(written([], kind), kind)
    assert table.num_rows == 0
    assert table.schema.names == arrow_rows.schema().names


def test_duckdb_reads_the_file(tmp_path: Any) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "names.parquet"
    path.write_bytes(written([batch_of(BARE, FULL), batch_of(FULL)], "parquet"))
    rows = duckdb.sql(f"select name, client_ip, dns_answers from '{path}' where vlan = 30")
    assert rows.fetchall() == [("tiktok.com", "2001:db8:20::7", ["192.0.2.1", "192.0.2.2"])] * 2


def test_the_result_does_not_depend_on_the_batch() -> None:
    batch = batch_of(BARE, FULL)
    expected = records(batch)
    found = arrow_rows.record_batch(batch)
    batch.clear()
    assert records_of(pa.Table.from_batches([found])) == expected


def test_values_that_no_column_has_are_never_missing() -> None:
    numbers = column_buffers.ColumnBuffers(batch_of(BARE)).integers(0, 8)
    assert (numbers.missing, bytes(numbers.values)) == (0, BARE.time.to_bytes(8, "little"))


def test_writers_are_the_rows_of_the_table() -> None:
    assert isinstance(BINARY_FORMATS["arrow"].writer(io.BytesIO()), ArrowWriter)
    assert isinstance(BINARY_FORMATS["parquet"].writer(io.BytesIO()), ParquetWriter)
