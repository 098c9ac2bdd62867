"""How the columns of facts are encoded in Parquet files.

Texts and lists repeat and get a dictionary for each row group; what counts up is stored as
differences. The numbers of flows and the ports of clients are random: a dictionary of them would be
as long as they are. In a compacted file names are in order, so that each is stored as what it
differs from the one before.
"""

from typing import Any

from netwatch.store.tables import FACTS, FactColumn

ROW_GROUP = 131_072
"""Rows of a row group of a compacted file."""

COMPRESSION_LEVEL = 3
"""Level of zstd."""

LANDING_LEVEL = 1
"""Level of zstd for landing files, which are soon written again."""

_COUNTERS = {"sequence", "time", "first", "last", "packet"}
_RANDOM = {"flow", "client_port", "bytes_out", "bytes_in"}


def writer_options(table: str, *, ordered: bool) -> dict[str, Any]:
    """The options of `pyarrow.parquet.ParquetWriter` for the files of a table; `ordered` are those
    whose rows are ordered by their first text."""
    encodings = {
        column.name: "DELTA_BINARY_PACKED" for column in FACTS[table] if column.name in _COUNTERS
    }
    if ordered and table == "observation":
        encodings["name"] = "DELTA_BYTE_ARRAY"
    return {
        "compression": "zstd",
        "compression_level": COMPRESSION_LEVEL if ordered else LANDING_LEVEL,
        "use_dictionary": [
            _path(column)
            for column in FACTS[table]
            if column.name not in encodings and column.name not in _RANDOM and column.kind != "bool"
        ],
        "column_encoding": encodings,
        # In the order of arrival nothing is skipped by a text, and to compare all of them costs a
        # fifth of what writing costs.
        "write_statistics": True
        if ordered
        else [column.name for column in FACTS[table] if column.kind in ("int32", "int64")],
    }


def _path(column: FactColumn) -> str:
    """The path of a column of Parquet, whose lists have three levels."""
    is_list = column.kind in ("texts", "numbers")
    return f"{column.name}.list.element" if is_list else column.name
