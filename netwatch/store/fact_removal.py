"""Takes rows and whole files of facts away, so that nothing of them stays in any file.

A file whose rows are to go is written anew without them. In one transaction the new file gets its
row in the catalogue, and that of the old one is marked as retired: no reader lists it any more, but
it is still known until the file itself is gone. So whoever is killed in between leaves no file that
nobody knows: the next call of `remove_retired` finishes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue, FileRow, StaleFilesError
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import encoded, read_file, write_file
from netwatch.store.statements import chunks
from netwatch.store.tables import FACTS

if TYPE_CHECKING:
    import pyarrow as pa

RETIRED = "retired"
"""What the row of a file has as its table once the file is to be removed."""


@dataclass(frozen=True, slots=True)
class Removed:
    """How many rows went, and how many files were removed or written anew."""

    rows: int = 0
    files: int = 0

    def __add__(self, other: "Removed") -> "Removed":
        return Removed(self.rows + other.rows, self.files + other.files)


class FactRemoval:
    """Removes facts of the store of `catalogue`, whose files are `files`."""

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
        as booleans. A file that another process has replaced meanwhile is left, as if it had none:
        its rows are in another file now. Raises `NetwatchError`."""
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
        """Let a file with these rows take the place of a file, or none; False where another process
        has replaced it meanwhile. Raises `NetwatchError`."""
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
        """Remove files that are retired, those with these paths or all; their number."""
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
        """Let files take the place of others, which stay known as retired. Raises
        `StaleFilesError` where one of those is gone."""
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
