"""Rows on their way into landing files: of one table and day each, about 100,000 rows.

A landing file has the rows as they came, of all clients; compaction divides them later. So few
files have to be open at a time, and a row is written soon.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from netwatch.store.arrow_schema import CAPTURE, TIME_COLUMN, schema
from netwatch.store.catalogue import Catalogue, FileRow
from netwatch.store.fact_files import FactFiles
from netwatch.store.fact_tables import write_file

if TYPE_CHECKING:
    import pyarrow as pa

LANDING_ROWS = 100_000
"""Rows after which a landing file is written."""

WAITING_ROWS = 1_000_000
"""Rows of all tables and days that wait in memory; of more, the most of one day are written."""

DAY = 86_400_000_000_000
"""A day in ns."""

Register = Callable[[Sequence[FileRow]], None]
"""Makes files visible to readers, all at once. Raises `NetwatchError`."""

_EPOCH = date(1970, 1, 1).toordinal()


def day_text(day: int) -> str:
    """A day, counted from that of the epoch, as YYYY-MM-DD."""
    return date.fromordinal(_EPOCH + day).isoformat()


@dataclass(slots=True)
class _Waiting:
    """The rows of a table and day that are not written yet."""

    batches: "list[pa.RecordBatch]"
    rows: int = 0


class Landing:
    """Collects rows and writes them to landing files, which it registers in the catalogue.

    `waiting` counts the rows that are in memory, `stored` those in files that are registered;
    `days` are those of the files; `progress` is called with each file. Where writing fails, nothing
    is lost: the next call of `write_due` or `flush` tries again. `register` takes the place of
    `Catalogue.register_files`.
    """

    def __init__(
        self, files: FactFiles, catalogue: Catalogue, register: Register | None = None
    ) -> None:
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

    def add(self, table: str, batch: "pa.RecordBatch") -> None:
        """Take rows of a table."""
        if not batch.num_rows:
            return
        for day, part in _by_day(table, batch):
            waiting = self._waiting.setdefault((table, day), _Waiting([]))
            waiting.batches.append(part)
            waiting.rows += part.num_rows
            self.waiting += part.num_rows

    def write_due(self) -> None:
        """Write what has become enough. Raises `NetwatchError`."""
        for key in [key for key, rows in self._waiting.items() if rows.rows >= LANDING_ROWS]:
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
        rows = self._waiting[key]
        self._written.append(self._write_file(*key, rows))
        del self._waiting[key]
        self.waiting -= rows.rows
        self.progress()

    def _register(self) -> None:
        """Register the files that were written, all of them at once."""
        if not self._written:
            return
        # Where the connection broke amid a transaction, it may have been committed.
        if not (self._is_retry and self._are_registered()):
            self._is_retry = True
            self._register_files(self._written)
        self.days.update(row.day for row in self._written)
        self.stored += sum(row.rows for row in self._written)
        self._written = []
        self._is_retry = False

    def _are_registered(self) -> bool:
        known = {row.path for row in self._catalogue.files(self._written[0].table)}
        return self._written[0].path in known

    def _write_file(self, table: str, day: int, waiting: _Waiting) -> FileRow:
        import pyarrow as pa

        rows = pa.Table.from_batches(waiting.batches, schema(table))
        return write_file(self._files, table, day_text(day), None, rows)


def _nothing() -> None:
    """Nobody waits."""


def numbered(
    batch: "pa.RecordBatch", table: str, capture: int, numbers: Sequence[int]
) -> "pa.RecordBatch":
    """A batch of a chunk as the files have it: with the number of its capture, and with the numbers
    of clients in place of the places that they have in the chunk."""
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
    # Division rounds towards zero, also of times before 1970.
    days = compute.divide(compute.subtract(times, first * DAY), DAY)
    return [
        (first + day, batch.filter(compute.equal(days, day)))
        for day in sorted(compute.unique(days).to_pylist())
    ]
