"""Compaction, which turns landing files (`netwatch.store.landing`) into files of one bucket of
clients, ordered by name and time.

**What is merged.** Landing files of a table and day that together have `BUCKET_ROWS` rows are
divided into buckets. Fewer are merged into one landing file, so that many small runs do not leave
many small files. A new file of a bucket absorbs adjacent ones that are at most twice as large, up
to `FILE_ROWS` rows; so a row is only rewritten as often as its file can double. No more than
`FILE_ROWS` rows, and those of the file that exceeds it, are in memory at a time.

**What can go wrong.** New files are written as a whole, then one transaction replaces the old ones
by them, then those are removed. A process that is killed between two of these steps leaves files
that are not in the catalogue; `sweep` removes them once they are old. If another process has
replaced the files meanwhile, the transaction fails, and the other's files are used.

Rows of captures that are no longer in the catalogue, because a later run replaced theirs, are left
out.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from netwatch.core.errors import NetwatchError
from netwatch.store.catalogue import Catalogue, FileRow, StaleFilesError
from netwatch.store.fact_files import LEFTOVER_AGE, FactFiles
from netwatch.store.fact_tables import CAPTURE, CLIENT, read_file, schema, write_file
from netwatch.store.tables import BUCKETS, FACTS

if TYPE_CHECKING:
    import pyarrow as pa

BUCKET_ROWS = 4096 * BUCKETS
"""Landing rows of a table and day from which they are divided into buckets."""

FILE_ROWS = 1_000_000
"""Rows of a file with which no other is merged any more."""

ORDER = {"observation": ("name", "time"), "flow": ("server_ip", "first"), "claim": ("time",)}
"""The columns by which the rows of a file are ordered."""


@dataclass(slots=True)
class Compacted:
    """The result of a compaction: rows written, files written, and files removed."""

    rows: int = 0
    written: int = 0
    removed: int = 0


def compact(files: FactFiles, catalogue: Catalogue, days: Iterable[str] | None = None) -> Compacted:
    """Compact all days, or only `days` (YYYY-MM-DD). Raises `NetwatchError`."""
    done = Compacted()
    wanted = None if days is None else set(days)
    for table in FACTS:
        for day, found in groupby(catalogue.files(table), key=lambda file: file.day):
            if wanted is None or day in wanted:
                DayFiles(files, catalogue, table, day, list(found), done).compact()
    return done


def sweep(files: FactFiles, catalogue: Catalogue, age: float = LEFTOVER_AGE) -> list[str]:
    """Remove the files that are not in the catalogue and that are older than `age`, in s; returns
    their paths. Raises `NetwatchError`."""
    removed = []
    for table in FACTS:
        # Files registered in between are too young to be checked.
        found = [path for path, since in files.walk(table) if since >= age]
        known = {row.path for row in catalogue.files(table)} if found else set()
        for path in found:
            if path not in known:
                files.remove(path)
                removed.append(path)
    return removed


class DayFiles:
    """A table and day whose files are compacted."""

    def __init__(
        self,
        files: FactFiles,
        catalogue: Catalogue,
        table: str,
        day: str,
        found: Sequence[FileRow],
        done: Compacted,
    ) -> None:
        self._files = files
        self._catalogue = catalogue
        self._table = table
        self._day = day
        self._landing = [row for row in found if row.bucket is None]
        self._buckets: dict[int, list[FileRow]] = {}
        for row in found:
            if row.bucket is not None:
                self._buckets.setdefault(row.bucket, []).append(row)
        self._done = done

    def compact(self) -> None:
        """Merge the landing files, or divide them into buckets."""
        try:
            for part in _parts(self._landing):
                if sum(row.rows for row in part) >= BUCKET_ROWS:
                    self.divide(self._read(part), part)
                elif len(part) > 1:
                    rows = _ordered(self._read(part), ORDER[self._table])
                    self._replace([self._write(rows, None)] if rows.num_rows else [], part)
        except StaleFilesError:
            return  # Another process has compacted or erased them.

    def divide(self, rows: "pa.Table", landing: Sequence[FileRow] = ()) -> None:
        """Put rows, those of landing files if there are any, into the files of buckets. Raises
        `NetwatchError`, and `StaleFilesError` if another process has replaced files meanwhile."""
        new, old = list[FileRow](), list(landing)
        for bucket, part in _by_bucket(rows, ORDER[self._table]):
            merged = self._beside(bucket, part.num_rows)
            old += merged
            if merged:
                part = concat(self._table, [part, self._read(merged)])
                part = _ordered(part, ORDER[self._table])
            new.append(self._write(part, bucket))
            del part  # before the next one is copied
        self._replace(new, old)
        for file in new:
            assert file.bucket is not None
            known = self._buckets.get(file.bucket, [])
            self._buckets[file.bucket] = [*(row for row in known if row not in old), file]

    def _beside(self, bucket: int, rows: int) -> list[FileRow]:
        """The files of a bucket to merge so many rows with."""
        merged = []
        for file in sorted(self._buckets.get(bucket, ()), key=lambda file: file.rows):
            if file.rows > 2 * rows or rows + file.rows > FILE_ROWS:
                break
            merged.append(file)
            rows += file.rows
        return merged

    def _read(self, files: Sequence[FileRow]) -> "pa.Table":
        """All rows of files that belong to a capture."""
        import pyarrow as pa
        from pyarrow import compute

        pool = pa.default_memory_pool()
        parts = []
        try:
            for row in files:
                parts.append(read_file(self._files, row))
                if row.bucket is None:
                    pool.release_unused()  # otherwise what reading needed is as much as the rows
        except NetwatchError as error:
            known = {row.path for row in self._catalogue.files(self._table)}
            if all(row.path in known for row in files):
                raise
            raise StaleFilesError("a file was replaced while it was read") from error
        table = concat(self._table, parts)
        if table.num_rows > BUCKET_ROWS:
            pool.release_unused()
        captures = pa.array(self._catalogue.capture_numbers(), pa.int32())
        stays = compute.is_in(table[CAPTURE], captures)
        return table if compute.all(stays).as_py() else table.filter(stays)

    def _write(self, rows: "pa.Table", bucket: int | None) -> FileRow:
        """Write rows to a file of their own."""
        return write_file(self._files, self._table, self._day, bucket, rows)

    def _replace(self, new: Sequence[FileRow], old: Sequence[FileRow]) -> None:
        """Replace others by files."""
        try:
            self._catalogue.replace_files(new, [row.path for row in old])
        except StaleFilesError:
            for row in new:
                self._files.remove(row.path)
            raise
        for row in old:
            self._files.remove(row.path)
        self._done.rows += sum(row.rows for row in new)
        self._done.written += len(new)
        self._done.removed += len(old)


def _parts(landing: Sequence[FileRow]) -> Iterator[list[FileRow]]:
    """Landing files in groups that fit into memory at a time."""
    part: list[FileRow] = []
    for file in landing:
        if part and sum(row.rows for row in part) + file.rows > FILE_ROWS:
            yield part
            part = []
        part.append(file)
    if part:
        yield part


def concat(table: str, parts: "list[pa.Table]") -> "pa.Table":
    """Tables one after the other, with one dictionary for each column. Lists are in one chunk,
    since rows cannot be taken from several without copying all of them; for that the tables lose
    their columns meanwhile, so that no more than one is in memory twice."""
    import pyarrow as pa

    columns = []
    rows, absent = sum(part.num_rows for part in parts), dict["pa.DataType", "pa.Array"]()
    for field in schema(table):
        chunks = [chunk for part in parts for chunk in part.column(field.name).chunks]
        parts[:] = [part.drop_columns(field.name) for part in parts]
        column = pa.chunked_array(chunks, field.type)
        del chunks
        if column.null_count == rows:
            column = absent.setdefault(field.type, pa.nulls(rows, field.type))
        elif pa.types.is_list(field.type):
            column = column.combine_chunks()
        else:
            column = column.unify_dictionaries()
        columns.append(column)
        del column
    return pa.table(columns, schema=schema(table))


def _by_bucket(rows: "pa.Table", columns: Sequence[str]) -> "Iterator[tuple[int, pa.Table]]":
    """The rows by the bucket of their client, each bucket ordered by columns. Only the rows of one
    bucket are copied at a time."""
    from pyarrow import compute

    # The numbers of clients are positive, and Arrow has no remainder.
    buckets = compute.bit_wise_and(rows[CLIENT], BUCKETS - 1)
    order, counts = _order(rows, columns, buckets), compute.value_counts(buckets).to_pylist()
    at = 0
    for count in sorted(counts, key=lambda count: count["values"]):
        yield count["values"], rows.take(order.slice(at, count["counts"]))
        at += count["counts"]


def _ordered(rows: "pa.Table", columns: Sequence[str]) -> "pa.Table":
    """The rows ordered by columns."""
    return rows.take(_order(rows, columns))


def _order(
    rows: "pa.Table", columns: Sequence[str], before: "pa.ChunkedArray | None" = None
) -> "pa.Array":
    """The places of the rows in the order of columns; `before` is a key that comes before them.
    Texts are compared by their places in the dictionary, once that is sorted itself."""
    import pyarrow as pa
    from pyarrow import compute

    keys = [] if before is None else [before]
    for column in columns:
        array = rows[column]
        if pa.types.is_dictionary(array.type):
            array = array.combine_chunks()
            if isinstance(array, pa.ChunkedArray):
                array = array.chunk(0)
            ranks = compute.rank(array.dictionary, tiebreaker="first")
            array = ranks.take(array.indices)
        keys.append(array)
    named = [(f"key{number}", "ascending") for number in range(len(keys))]
    table = pa.table(keys, names=[name for name, _ in named]).combine_chunks()
    return compute.sort_indices(table, sort_keys=named)
