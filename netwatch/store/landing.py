"""Files of facts as they are written: landing files, with rows of one table and day as they came.

A landing file has about 100,000 rows, of all clients; compaction divides them later
(`netwatch.store.compaction`). So few files are open at a time, and a row is written soon. A run
that ends can wait: rows of a day that suffice for buckets are divided in memory, without landing
files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from netwatch.store import compaction
from netwatch.store.catalogue import Catalogue, FileRow, StaleFilesError
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import CAPTURE, TIME_COLUMN, combined, schema, write_file

if TYPE_CHECKING:
    import pyarrow as pa

LANDING_ROWS = 100_000
"""Rows after which a landing file is written."""

MERGED_ROWS = 65_536
"""Rows to merge, if they wait to be divided: their columns then have memory of their own."""

WAITING_ROWS = 1_000_000
"""Rows of all tables and days to keep in memory; of more, the largest day is written."""

DAY = 86_400_000_000_000
"""A day in ns."""

Register = Callable[[Sequence[FileRow]], None]
"""Makes files visible to readers, all at once. Raises `NetwatchError`."""

_EPOCH = date(1970, 1, 1).toordinal()


def day_text(day: int) -> str:
    """A day, counted from the epoch, as YYYY-MM-DD."""
    return date.fromordinal(_EPOCH + day).isoformat()


@dataclass(slots=True)
class _Waiting:
    """The unwritten rows of a table and day; `unmerged` of them are in batches."""

    table: str
    batches: "list[pa.RecordBatch]" = field(default_factory=list)
    merged: "list[pa.Table]" = field(default_factory=list)
    rows: int = 0
    unmerged: int = 0

    def add(self, batch: "pa.RecordBatch") -> None:
        """Take a batch."""
        self.batches.append(batch)
        self.rows += batch.num_rows
        self.unmerged += batch.num_rows

    def merge(self) -> None:
        """Copy the batches, so that they no longer hold the memory of the messages they are in."""
        if self.batches:
            self.merged.append(combined(self._batched()))
            self.batches, self.unmerged = [], 0

    def divisible(self) -> "pa.Table":
        """All rows, merged. The memory that this frees is returned to the system, because dividing
        the rows cannot reuse it."""
        import pyarrow as pa

        self.merge()
        self.merged = [compaction.concat(self.table, self.merged)]
        pa.default_memory_pool().release_unused()
        return self.merged[0]

    def whole(self) -> "pa.Table":
        """All rows."""
        import pyarrow as pa

        return pa.concat_tables([*self.merged, self._batched()])

    def _batched(self) -> "pa.Table":
        import pyarrow as pa

        return pa.Table.from_batches(self.batches, schema(self.table))


class Landing:
    """Collects rows and writes them to landing files, which it registers in the catalogue.

    `waiting` counts the rows in memory, `stored` those in registered files; `days` are the days of
    the files; `progress` is called with each file. `claim` is called with the path of the first
    file and the number of rows before files are registered: if this process is killed then, that
    path tells whether they are. If writing fails, nothing is lost: the next call of `write_due` or
    `flush` tries again. `register` replaces `Catalogue.register_files`. With `divides`, rows wait
    until they can be divided into buckets; who tries again after a failure may then store them
    twice, as no `claim` tells whether they are there.
    """

    def __init__(
        self,
        files: FactFiles,
        catalogue: Catalogue,
        register: Register | None = None,
        *,
        divides: bool = False,
    ) -> None:
        self._divides = divides
        self._files = files
        self._catalogue = catalogue
        self._register_files = register or catalogue.register_files
        self._waiting: dict[tuple[str, int], _Waiting] = {}
        self._written: list[FileRow] = []
        self._is_retry = False
        self.waiting = 0
        self.stored = 0
        self.days = set[str]()
        self.progress: Callable[[], None] = _nothing
        self.claim: Callable[[str, int], None] = _nothing

    def add(self, table: str, batch: "pa.RecordBatch") -> None:
        """Take rows of a table."""
        if not batch.num_rows:
            return
        for day, part in _by_day(table, batch):
            waiting = self._waiting.setdefault((table, day), _Waiting(table))
            waiting.add(part)
            self.waiting += part.num_rows
            if self._divides and waiting.unmerged >= MERGED_ROWS:
                waiting.merge()

    def write_due(self) -> None:
        """Write tables that have enough rows. Raises `NetwatchError`."""
        enough = WAITING_ROWS if self._divides else LANDING_ROWS
        for key in [key for key, rows in self._waiting.items() if rows.rows >= enough]:
            self._write(key)
        while self.waiting > WAITING_ROWS:
            self._write(max(self._waiting, key=lambda key: self._waiting[key].rows))
        self._register()

    def flush(self) -> None:
        """Write all rows that wait. Raises `NetwatchError`."""
        for key in sorted(self._waiting):
            self._write(key)
        self._register()

    def _write(self, key: tuple[str, int]) -> None:
        """Write the rows of a table and day to a file, which is not registered yet."""
        (table, day), waiting = key, self._waiting[key]
        if not (
            self._divides
            and waiting.rows >= compaction.BUCKET_ROWS
            and self._divide(table, day, waiting)
        ):
            rows = waiting.whole()
            self._written.append(write_file(self._files, table, day_text(day), None, rows))
        del self._waiting[key]
        self.waiting -= waiting.rows
        self.progress()

    def _divide(self, table: str, day: int, waiting: _Waiting) -> bool:
        """Put rows into the files of buckets; False if another process has replaced those that
        they were to be merged with."""
        name = day_text(day)
        found = [file for file in self._catalogue.files(table) if file.day == name]
        try:
            compaction.DayFiles(
                self._files, self._catalogue, table, name, found, compaction.Compacted()
            ).divide(waiting.divisible())
        except StaleFilesError:
            return False
        self.days.add(name)
        self.stored += waiting.rows
        return True

    def _register(self) -> None:
        """Register the files that were written, all of them at once."""
        if not self._written:
            return
        first, rows = self._written[0].path, sum(row.rows for row in self._written)
        # If the connection broke during a transaction, it may have been committed.
        if not (self._is_retry and self._catalogue.has_file(first)):
            self._is_retry = True
            self.claim(first, rows)
            self._register_files(self._written)
        self.days.update(row.day for row in self._written)
        self.stored += rows
        self._written = []
        self._is_retry = False
        self.progress()


def _nothing(*_: object) -> None:
    """Does nothing."""


def numbered(
    batch: "pa.RecordBatch", table: str, capture: int, numbers: Sequence[int]
) -> "pa.RecordBatch":
    """A batch of a chunk as stored in files: with the number of its capture, and with the numbers
    of clients instead of their places in the chunk."""
    import pyarrow as pa

    layout = schema(table)
    clients = pa.array(numbers, pa.int32())
    columns = {name: batch.column(name) for name in batch.schema.names}
    columns[CAPTURE] = pa.repeat(pa.scalar(capture, pa.int32()), batch.num_rows)
    columns["client"] = clients.take(batch.column("client"))
    return pa.RecordBatch.from_arrays([columns[name] for name in layout.names], schema=layout)


def _by_day(table: str, batch: "pa.RecordBatch") -> "list[tuple[int, pa.RecordBatch]]":
    """The rows of a batch by day."""
    from pyarrow import compute

    times = batch.column(TIME_COLUMN[table])
    span = compute.min_max(times).as_py()
    first, last = span["min"] // DAY, span["max"] // DAY
    if first == last:
        return [(first, batch)]
    # Division rounds towards zero, also for times before 1970.
    days = compute.divide(compute.subtract(times, first * DAY), DAY)
    return [
        (first + day, batch.filter(compute.equal(days, day)))
        for day in sorted(compute.unique(days).to_pylist())
    ]
