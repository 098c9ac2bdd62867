"""Files of facts as tables of Arrow: reads and writes whole files."""

import time
from typing import IO, TYPE_CHECKING

from netwatch.core.errors import NetwatchError
from netwatch.store.arrow_schema import TIME_COLUMN, schema
from netwatch.store.catalogue import FileRow
from netwatch.store.fact_files import FactFiles, new_path
from netwatch.store.parquet import ROW_GROUP, writer_options
from netwatch.store.tables import FACTS

if TYPE_CHECKING:
    import pyarrow as pa

LARGE_CHUNK = 25_000
"""Rows from which a chunk is written to a landing file with dictionaries of its own."""


def read_file(files: FactFiles, row: FileRow) -> "pa.Table":
    """All rows of a file, by `netwatch.store.arrow_schema.schema`: columns that a file of an older
    version lacks are empty. Raises `NetwatchError` where it is damaged or cannot be read."""
    import pyarrow as pa

    try:
        with files.open(row.path) as stream:
            return rows_in(stream, row)
    except (pa.ArrowException, OSError) as error:
        raise NetwatchError(f"{files.place}/{row.path}: is damaged: {error}") from None


def rows_in(stream: "IO[bytes] | pa.NativeFile", row: FileRow) -> "pa.Table":
    """The same of what the stream of a file has. Raises errors of Arrow, and `OSError`."""
    import pyarrow as pa
    from pyarrow import parquet

    # Arrow cannot read what is stored as differences into a dictionary.
    texts = [
        column.name
        for column in FACTS[row.table]
        if column.kind == "text" and (row.bucket is None or column.name != "name")
    ]
    layout = schema(row.table)
    table = parquet.read_table(stream, read_dictionary=texts, use_threads=False)
    return pa.table([_column(table, field) for field in layout], schema=layout)


def _column(table: "pa.Table", field: "pa.Field") -> "pa.ChunkedArray | pa.Array":
    import pyarrow as pa

    if field.name not in table.column_names:
        return pa.nulls(table.num_rows, field.type)
    found = table[field.name]
    return found if found.type == field.type else found.dictionary_encode()


def write_file(
    files: FactFiles, table: str, day: str, bucket: int | None, rows: "pa.Table"
) -> FileRow:
    """Write rows of a table and day to a file of their own, which the catalogue does not have yet;
    without `bucket` it is a landing file. Those of a bucket have to be in its order. Raises
    `NetwatchError`."""
    from pyarrow import compute, parquet

    place = f"day={day}"
    folder = f"landing/{place}" if bucket is None else f"{place}/bucket={bucket:02}"
    path = new_path(f"{table}/{folder}")
    # A dictionary would be written as a whole, although the rows may be few of those it is of.
    parts = [_plain(rows)] if bucket is not None else _landing_parts(rows)
    options = writer_options(table, ordered=bucket is not None)

    def fill(stream: IO[bytes]) -> None:
        with parquet.ParquetWriter(stream, parts[0].schema, **options) as writer:
            for part in parts:
                writer.write_table(part, row_group_size=ROW_GROUP)

    written = files.write(path, fill)
    times = compute.min_max(rows[TIME_COLUMN[table]]).as_py()
    return FileRow(
        path=path,
        table=table,
        day=day,
        bucket=bucket,
        rows=rows.num_rows,
        bytes=written.size,
        first=times["min"],
        last=times["max"],
        created=time.time_ns(),
        sha256=written.sha256,
    )


def _landing_parts(rows: "pa.Table") -> "list[pa.Table]":
    """The rows of a landing file as they are written: chunks that are large have dictionaries and
    row groups of their own, because to make one dictionary of several costs a third of what
    writing costs. The others are put together."""
    import pyarrow as pa

    chunks = rows.to_batches()
    large = [chunk for chunk in chunks if chunk.num_rows >= LARGE_CHUNK]
    small = [chunk for chunk in chunks if chunk.num_rows < LARGE_CHUNK]
    parts = [pa.Table.from_batches([chunk], rows.schema) for chunk in large]
    if small or not parts:
        parts.append(combined(pa.Table.from_batches(small, rows.schema)))
    return parts


def encoded(rows: "pa.Table") -> "pa.Table":
    """The rows with dictionaries of what is in them, and of nothing else: those of rows that were
    chosen among others still have the texts of all."""
    return _plain(rows).cast(rows.schema)


def combined(rows: "pa.Table") -> "pa.Table":
    """The rows with one dictionary for each column, in one chunk."""
    return rows.unify_dictionaries().combine_chunks()


def _plain(rows: "pa.Table") -> "pa.Table":
    """The rows with texts in place of dictionaries."""
    import pyarrow as pa

    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in rows.schema
    ]
    return rows.cast(pa.schema(fields, rows.schema.metadata))
