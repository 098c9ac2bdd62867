"""Rows that are removed leave nothing in the dictionaries of a landing file."""

from pathlib import Path

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
