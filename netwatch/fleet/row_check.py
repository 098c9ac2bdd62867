"""Checks the rows of facts that a sensor sent: times, numbers and texts that a store can keep, and
whose sums fit.
"""

from typing import TYPE_CHECKING

from netwatch.fleet.border import CLOCK_SLACK, MAX_BYTES, BorderError
from netwatch.store.fact_tables import TIME_COLUMN
from netwatch.store.landing import DAY
from netwatch.store.tables import FACTS, FactColumn

if TYPE_CHECKING:
    import pyarrow as pa

MAX_DAYS = 400
"""Days of which a batch may have rows; each becomes a file."""

MAX_TEXT = 4096
"""Bytes of one text of a row."""

MAX_BLOB = 64 << 10
"""Bytes of one address claim."""

_TIMES = {"observation": ("time",), "flow": ("first", "last"), "claim": ("time",)}


def check_rows(table: str, rows: "pa.Table", now: int) -> None:
    """Check rows in the layout of chunks that came at `now` (ns). Raises `BorderError`."""
    for column in FACTS[table]:
        if column.name in _TIMES[table]:
            _check_range(rows, column.name, now + CLOCK_SLACK)
        elif column.name in ("bytes_out", "bytes_in", "packet"):
            _check_range(rows, column.name, MAX_BYTES)
        elif column.name == "sequence":
            _check_range(rows, column.name, (1 << 63) - 1)
        elif column.kind in ("text", "texts", "blob"):
            _check_texts(rows, column)
    _check_days(rows[TIME_COLUMN[table]])


def _check_range(rows: "pa.Table", name: str, last: int) -> None:
    from pyarrow import compute

    span = compute.min_max(rows[name]).as_py()
    if span["min"] < 0 or span["max"] > last:
        raise BorderError(f"{name}: expected numbers from 0 to {last:,}")


def _check_texts(rows: "pa.Table", column: FactColumn) -> None:
    """Check how long texts are, each of a dictionary once."""
    from pyarrow import compute

    limit = MAX_BLOB if column.kind == "blob" else MAX_TEXT
    for chunk in rows[column.name].chunks:
        if column.kind == "text":
            chunk = chunk.dictionary
        elif column.kind == "texts":
            chunk = chunk.flatten()
        longest = compute.max(compute.binary_length(chunk)).as_py() or 0
        if longest > limit:
            raise BorderError(f"{column.name}: expected at most {limit:,} bytes")


def _check_days(times: "pa.ChunkedArray") -> None:
    from pyarrow import compute

    span = compute.min_max(times).as_py()
    if span["max"] // DAY - span["min"] // DAY >= MAX_DAYS and (
        compute.count_distinct(compute.divide(times, DAY)).as_py() > MAX_DAYS
    ):
        raise BorderError(f"the batch has rows of more than {MAX_DAYS} days")
