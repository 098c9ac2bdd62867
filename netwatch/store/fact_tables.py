"""Facts as Arrow tables and as Parquet files: their schemas, their encodings, reading and writing
whole files, and removing rows and files so that nothing of them remains in any file.

Texts are dictionaries in memory; in a file each page has the encoding that suits it. Texts and
lists repeat and get a dictionary for each row group; increasing numbers are stored as differences.
The numbers of flows and the ports of clients are random: a dictionary of them would be as long as
they are. In a compacted file names are sorted, so that each is stored as its difference from the
previous one.

A file with removed rows is rewritten without them. In one transaction the new file gets its row in
the catalogue, and the row of the old one is marked as retired: no reader lists it any more, but it
is still known until the file itself is gone. So a process that is killed in between leaves no
unknown file: the next call of `remove_retired` finishes.

This needs pyarrow, which is imported when the functions are called.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import IO, TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from netwatch.core.errors import NetwatchError
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue, FileRow, StaleFilesError
from netwatch.store.fact_files import FactFiles, new_path
from netwatch.store.statements import chunks
from netwatch.store.tables import FACTS, FORMAT_VERSION, FactColumn

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT_KEY = "netwatch.format"
"""The key of `FORMAT_VERSION` in the metadata of a file."""

CAPTURE = "capture"
"""The column that the writer fills: the reader of a capture does not know its number."""

CLIENT = "client"
"""The column in which the writer replaces a chunk's numbers by the catalogue's."""

TIME_COLUMN = {"observation": "time", "flow": "first", "claim": "time"}
"""The column of each table that determines the day of a row."""

ROW_GROUP = 131_072
"""Rows in a row group of a compacted file."""

COMPRESSION_LEVEL = 3
"""Level of zstd."""

LANDING_LEVEL = 1
"""Level of zstd for landing files, which are soon rewritten."""

_COUNTERS = {"sequence", "time", "first", "last", "packet"}
_RANDOM = {"flow", "client_port", "bytes_out", "bytes_in"}

FEW_ROWS = 131_072
"""Rows of a column without values that shares its memory with others."""

LARGE_CHUNK = 25_000
"""Rows from which a chunk is written to a landing file with dictionaries of its own."""

RETIRED = "retired"
"""The table in the row of a file that is to be removed."""


def arrow_type(column: FactColumn) -> "pa.DataType":
    """The type of a column."""
    import pyarrow as pa

    match column.kind:
        case "bool":
            return pa.bool_()
        case "uint8":
            return pa.uint8()
        case "uint16":
            return pa.uint16()
        case "int32":
            return pa.int32()
        case "uint32":
            return pa.uint32()
        case "int64":
            return pa.int64()
        case "text":
            return pa.dictionary(pa.int32(), pa.string())
        case "texts":
            return pa.list_(pa.field("element", pa.string(), nullable=False))
        case "numbers":
            return pa.list_(pa.field("element", pa.uint32(), nullable=False))
        case "blob":
            return pa.binary()


@cache
def schema(table: str) -> "pa.Schema":
    """The schema of the files of a table."""
    import pyarrow as pa

    fields = [pa.field(column.name, arrow_type(column), column.nullable) for column in FACTS[table]]
    return pa.schema(fields, {FORMAT_KEY: str(FORMAT_VERSION)})


@cache
def chunk_schema(table: str) -> "pa.Schema":
    """The schema of the chunks that are sent to the writer: without `CAPTURE`."""
    found = schema(table)
    return found.remove(found.get_field_index(CAPTURE))


def stream_of(batches: "list[pa.RecordBatch]") -> bytes:
    """Batches of a chunk as an Arrow stream, without the columns that have no values."""
    import pyarrow as pa

    names = [
        name
        for at, name in enumerate(batches[0].schema.names)
        if any(batch.column(at).null_count < batch.num_rows for batch in batches)
    ]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].select(names).schema) as writer:
        for batch in batches:
            writer.write_batch(batch.select(names))
    octets: bytes = sink.getvalue().to_pybytes()
    return octets


def batches_of(table: str, stream: bytes) -> "Iterator[pa.RecordBatch]":
    """The batches of a chunk of a table from its stream, by `chunk_schema`."""
    import pyarrow as pa

    layout = chunk_schema(table)
    with pa.ipc.open_stream(stream) as reader:
        for batch in reader:
            found = {*batch.schema.names}
            columns = [
                batch.column(field.name)
                if field.name in found
                else nulls(field.type, batch.num_rows)
                for field in layout
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=layout)


def nulls(kind: "pa.DataType", rows: int) -> "pa.Array":
    """A column without values. Most share their memory."""
    import pyarrow as pa

    return _few_nulls(kind).slice(0, rows) if rows <= FEW_ROWS else pa.nulls(rows, kind)


@cache
def _few_nulls(kind: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    return pa.nulls(FEW_ROWS, kind)


def writer_options(table: str, *, ordered: bool) -> dict[str, Any]:
    """The options of `pyarrow.parquet.ParquetWriter` for the files of a table; `ordered` files have
    their rows ordered by their first text."""
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
        # In the order of arrival a text's statistics skip nothing, and comparing all of them costs
        # a fifth of writing.
        "write_statistics": True
        if ordered
        else [column.name for column in FACTS[table] if column.kind in ("int32", "int64")],
    }


def _path(column: FactColumn) -> str:
    """The path of a column of Parquet, whose lists have three levels."""
    is_list = column.kind in ("texts", "numbers")
    return f"{column.name}.list.element" if is_list else column.name


def read_file(files: FactFiles, row: FileRow) -> "pa.Table":
    """All rows of a file, by `schema`: columns missing in a file of an older version are empty.
    Raises `NetwatchError` if it is damaged or cannot be read."""
    import pyarrow as pa

    try:
        with files.open(row.path) as stream:
            return rows_in(stream, row)
    except (pa.ArrowException, OSError) as error:
        raise NetwatchError(f"{files.place}/{row.path}: is damaged: {error}") from None


def rows_in(stream: "IO[bytes] | pa.NativeFile", row: FileRow) -> "pa.Table":
    """The same from the stream of a file. Raises errors of Arrow, and `OSError`."""
    import pyarrow as pa
    from pyarrow import parquet

    # Arrow cannot read delta encoding into a dictionary.
    texts = [
        column.name
        for column in FACTS[row.table]
        if column.kind == "text" and (row.bucket is None or column.name != "name")
    ]
    layout = schema(row.table)
    table = parquet.read_table(stream, read_dictionary=texts, use_threads=False)
    return pa.table([_column(table, field) for field in layout], schema=layout)


def _column(table: "pa.Table", field: "pa.Field") -> "pa.ChunkedArray | pa.Array":
    rows = table.num_rows
    if field.name not in table.column_names or table[field.name].null_count == rows:
        return nulls(field.type, rows)
    found = table[field.name]
    return found if found.type == field.type else found.dictionary_encode()


def write_file(
    files: FactFiles, table: str, day: str, bucket: int | None, rows: "pa.Table"
) -> FileRow:
    """Write rows of a table and day to a file of their own, which is not in the catalogue yet;
    without `bucket` it is a landing file. The rows of a bucket must be in its order. Raises
    `NetwatchError`."""
    from pyarrow import compute, parquet

    place = f"day={day}"
    folder = f"landing/{place}" if bucket is None else f"{place}/bucket={bucket:02}"
    path = new_path(f"{table}/{folder}")
    parts = _landing_parts(rows) if bucket is None else _groups(rows)
    options = writer_options(table, ordered=bucket is not None)

    def fill(stream: IO[bytes]) -> None:
        part = next(parts)
        with parquet.ParquetWriter(stream, part.schema, **options) as writer:
            writer.write_table(part, row_group_size=ROW_GROUP)
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


def _groups(rows: "pa.Table") -> "Iterator[pa.Table]":
    """The rows of a bucket as they are written, one row group at a time, since texts instead of
    dictionaries take several times the memory. A dictionary would be written as a whole, although
    the rows may use a small part of it."""
    for at in range(0, max(rows.num_rows, 1), ROW_GROUP):
        yield _plain(rows.slice(at, ROW_GROUP))


def _landing_parts(rows: "pa.Table") -> "Iterator[pa.Table]":
    """The rows of a landing file as they are written: large chunks have dictionaries and row groups
    of their own, because merging the dictionaries of several costs a third of writing. The others
    are combined."""
    import pyarrow as pa

    chunks = rows.to_batches()
    large = [chunk for chunk in chunks if chunk.num_rows >= LARGE_CHUNK]
    small = [chunk for chunk in chunks if chunk.num_rows < LARGE_CHUNK]
    parts = [pa.Table.from_batches([chunk], rows.schema) for chunk in large]
    if small or not parts:
        parts.append(combined(pa.Table.from_batches(small, rows.schema)))
    yield from parts


def encoded(rows: "pa.Table") -> "pa.Table":
    """The rows with dictionaries of only their own texts: selected rows still have all texts of the
    original table."""
    return _plain(rows).cast(rows.schema)


def combined(rows: "pa.Table") -> "pa.Table":
    """The rows with one dictionary for each column, in one chunk."""
    import pyarrow as pa

    columns = [
        nulls(column.type, rows.num_rows)
        if column.null_count == rows.num_rows
        else column.unify_dictionaries().combine_chunks()
        for column in rows.columns
    ]
    return pa.table(columns, schema=rows.schema)


def _plain(rows: "pa.Table") -> "pa.Table":
    """The rows with texts instead of dictionaries."""
    import pyarrow as pa

    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in rows.schema
    ]
    return rows.cast(pa.schema(fields, rows.schema.metadata))


@dataclass(frozen=True, slots=True)
class Removed:
    """How many rows were removed, and how many files were removed or rewritten."""

    rows: int = 0
    files: int = 0

    def __add__(self, other: "Removed") -> "Removed":
        return Removed(self.rows + other.rows, self.files + other.files)


class FactRemoval:
    """Removes facts from the store of `catalogue`, whose files are `files`."""

    def __init__(self, catalogue: Catalogue, files: FactFiles) -> None:
        self.catalogue = catalogue
        self.files = files

    def rows(
        self,
        file: FileRow,
        select_rows: "Callable[[pa.Table], pa.Array]",
        columns: Sequence[str],
    ) -> Removed:
        """Remove the rows of a file that `select_rows` selects, given a table with these columns,
        as booleans. A file that another process has replaced meanwhile is left as if it had none:
        its rows are now in another file. Raises `NetwatchError`."""
        from pyarrow import compute

        chosen = select_rows(self.read(file, columns))
        count = compute.sum(chosen).as_py() or 0
        if not count:
            return Removed()
        rows = None
        if count < file.rows:
            rows = encoded(read_file(self.files, file).filter(compute.invert(chosen)))
        if not self.replace(file, rows):
            return Removed()
        return Removed(count, 1)

    def replace(self, file: FileRow, rows: "pa.Table | None") -> bool:
        """Replace a file by one with these rows, or by none; False if another process has replaced
        it meanwhile. Raises `NetwatchError`."""
        new = None
        if rows is not None:
            new = write_file(self.files, file.table, file.day, file.bucket, rows)
        try:
            self._retire([file.path], [new] if new is not None else [])
        except StaleFilesError:
            if new is not None:
                self.files.remove(new.path)
            return False
        self.remove_retired([file.path])
        return True

    def whole(self, files: Sequence[FileRow]) -> Removed:
        """Remove files with all their rows. Raises `NetwatchError`."""
        removed = Removed()
        for file in files:
            if self.replace(file, None):
                removed += Removed(file.rows, 1)
        return removed

    def all_files(self) -> Iterator[FileRow]:
        """The files of all tables."""
        for table in FACTS:
            yield from self.catalogue.files(table)

    def read(self, file: FileRow, columns: Sequence[str] | None = None) -> "pa.Table":
        """The rows of a file; with `columns`, only these. Raises `NetwatchError`."""
        from pyarrow import parquet

        with self.files.open(file.path) as stream:
            return parquet.read_table(stream, columns=columns)

    def remove_retired(self, paths: Sequence[str] | None = None) -> int:
        """Remove retired files, those with these paths or all; returns their number."""
        column = tables.file.c
        with self.catalogue.database.reading() as connection:
            retired = list(
                connection.execute(select(column.path).where(column.table == RETIRED)).scalars()
            )
        wanted = retired if paths is None else [path for path in retired if path in {*paths}]
        for path in wanted:
            self.files.remove(path)
            with self.catalogue.database.writing() as connection:
                connection.execute(delete(tables.file).where(column.path == path))
        return len(wanted)

    def _retire(self, old: Sequence[str], new: Sequence[FileRow]) -> None:
        """Replace files by others; the old ones stay known as retired. Raises `StaleFilesError` if
        one of those is gone."""
        column = tables.file.c
        with self.catalogue.database.writing() as connection:
            for paths in chunks(old):
                found = connection.execute(
                    update(tables.file)
                    .where(column.path.in_(paths), column.table != RETIRED)
                    .values(table=RETIRED)
                )
                if found.rowcount != len(paths):
                    raise StaleFilesError("files were replaced by another process meanwhile")
            if new:
                names = [each.name for each in column]
                rows = [{name: getattr(row, name) for name in names} for row in new]
                connection.execute(insert(tables.file), rows)
