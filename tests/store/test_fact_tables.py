"""Columns of chunks, and dictionaries of landing files after rows were removed."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import compute, parquet
from support.made_facts import made_batches

from netwatch.store import fact_tables
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import FactRemoval
from netwatch.store.landing import Landing
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions


def test_a_name_of_removed_rows_is_in_no_dictionary(tmp_path: Path) -> None:
    files = FactFiles(str(tmp_path))
    with open_catalogue(StoreOptions(str(tmp_path)), create=True) as catalogue:
        landing = Landing(files, catalogue)
        for batch in made_batches(2000, devices=20, names=100):
            landing.add("observation", batch)
        landing.flush()
        (row,) = catalogue.files("observation")
        whole = fact_tables.read_file(files, row)
        gone = whole["name"][0].as_py()
        FactRemoval(catalogue, files).rows(
            row, lambda part: compute.equal(part["name"], gone), ["name"]
        )
        (left,) = catalogue.files("observation")
        file = parquet.ParquetFile(tmp_path / left.path, read_dictionary=["name"])
        names = file.read()["name"]
        assert gone not in [name for part in names.chunks for name in part.dictionary.to_pylist()]
        expected = whole.filter(compute.not_equal(whole["name"], gone))
        assert fact_tables.read_file(files, left).to_pylist() == expected.to_pylist()


@pytest.mark.parametrize("few", [fact_tables.FEW_ROWS, 100])
def test_a_chunk_is_sent_without_empty_columns(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fact_tables, "FEW_ROWS", few)
    fact_tables._few_nulls.cache_clear()
    layout = fact_tables.chunk_schema("observation")
    at = layout.get_field_index("log_format")
    sent = []
    for batch in made_batches(2000, devices=20, names=100):
        empty = pa.nulls(batch.num_rows, layout.field(at).type)
        sent.append(batch.select(layout.names).set_column(at, layout.field(at), empty))
    stream = fact_tables.stream_of(sent)
    with pa.ipc.open_stream(stream) as reader:
        names = reader.schema.names
    assert "log_format" not in names
    assert "name" in names
    arrived = list(fact_tables.batches_of("observation", stream))
    assert [batch.schema for batch in arrived] == [layout] * len(sent)
    assert [batch.to_pylist() for batch in arrived] == [batch.to_pylist() for batch in sent]
