"""How the columns of facts are encoded in Parquet files."""

from typing import Any

from netwatch.store.tables import FACTS, FactColumn

ROW_GROUP = 131_072
"""Rows of a row group of a compacted file."""

COMPRESSION_LEVEL = 3
"""Level of zstd."""


def writer_options(table: str) -> dict[str, Any]:
    """The options of `pyarrow.parquet.ParquetWriter` for the files of a table: dictionaries for
    what repeats, differences for what counts up."""
    columns = FACTS[table]
    deltas = {column.name for column in columns if column.kind == "int64"}
    return {
        "compression": "zstd",
        "compression_level": COMPRESSION_LEVEL,
        "use_dictionary": [
            _path(column)
            for column in columns
            if column.name not in deltas and column.kind != "bool"
        ],
        "column_encoding": dict.fromkeys(sorted(deltas), "DELTA_BINARY_PACKED"),
        "write_statistics": True,
        "store_schema": True,
    }


def _path(column: FactColumn) -> str:
    """The path of a column of Parquet, whose lists have three levels."""
    is_list = column.kind in ("texts", "numbers")
    return f"{column.name}.list.element" if is_list else column.name
