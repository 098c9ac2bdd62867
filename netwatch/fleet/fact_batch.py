"""A batch of facts: rows of one table as a Parquet file, after the clients that they name.

::

    length of the next part, 4 bytes
    {"run": …, "clients": [[ip, mac, …], …]}    JSON, compressed by zlib
    Parquet

In the column ``client`` rows have places in the list of clients. A batch comes from another
machine, which may be broken or taken over, so its content is checked before any of it is stored,
and reading it is bounded.

The rows from a sensor are checked: storable times, numbers and texts, with sums that fit.
"""

import base64
import binascii
import io
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.system.kernel import with_limited_memory
from netwatch.fleet.border import (
    MAX_POSITION,
    MAX_SENTENCE,
    BorderError,
    moment,
    naming,
    number,
    text,
    value_of,
)
from netwatch.fleet.envelope import EnvelopeError
from netwatch.store.fact_tables import TIME_COLUMN, chunk_schema, combined, writer_options
from netwatch.store.run_rows import ClientAddress
from netwatch.store.tables import FACTS, NAMED_SINCE

if TYPE_CHECKING:
    import pyarrow as pa
from typing import TYPE_CHECKING

from netwatch.fleet.border import CLOCK_SLACK, MAX_BYTES
from netwatch.store.landing import DAY
from netwatch.store.tables import FactColumn

if TYPE_CHECKING:
    import pyarrow as pa

MAX_DAYS = 400
"""Days of a batch's rows, at most; each becomes a file."""

MAX_TEXT = 4096
"""Bytes of one text of a row."""

MAX_BLOB = 64 << 10
"""Bytes of one address claim."""

_TIMES = {"observation": ("time",), "flow": ("first", "last"), "claim": ("time",)}

MAX_ABOUT = 16 << 20
"""Bytes of the clients of a batch."""

MAX_CLIENTS = 100_000
"""Clients of a batch."""

MAX_BANS = 1000
"""Bans whose contents a batch includes, at most."""

MAX_ROWS = 200_000
"""Rows of a batch to read, at most; a sensor sends some 30,000."""

MAX_BATCH_BYTES = 64 << 20
"""Bytes of the rows of a batch in memory."""

READ_ROWS = 65_536
"""Rows to read at a time, until the next check of their memory."""

READ_BYTES = 256 << 20
"""Memory for reading a batch, at most: a file may announce less than it unpacks to."""

_LENGTH = struct.Struct(">I")

_LATER = frozenset(
    column.name for table in FACTS.values() for column in table if column.since > NAMED_SINCE
)
"""Columns that sensors of the oldest version that is taken do not send."""


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
    """Check the length of texts, once for each text of a dictionary."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunKey:
    """The run of a sensor: when it began (ns by its clock), its command, the versions that decided
    (netwatch, signatures, bans, configuration; None if nothing was judged), the position of the
    capture in it, and the contents of the versions' bans, which a sensor with an older netwatch
    does not send. They are not part of the identity of a run."""

    started: int
    command: str
    versions: tuple[str, str, str, str] | None
    position: int
    contents: Mapping[str, str] = attribute(default_factory=dict, compare=False)

    def record(self) -> Mapping[str, Any]:
        """The same as JSON."""
        return {
            "started": self.started,
            "command": self.command,
            "versions": self.versions and list(self.versions),
            "position": self.position,
            "contents": dict(self.contents),
        }


@dataclass(frozen=True, slots=True)
class FactBatch:
    """Rows of a table, of a capture of a run, and the clients that they name by place."""

    table: str
    run: RunKey
    clients: Sequence[ClientAddress]
    rows: "pa.Table"


def read_run(record: Any, now: int) -> RunKey:
    """The run in a record from `RunKey.record`, which came at `now` (ns). Raises `BorderError` for
    any other."""
    with naming("run"):
        if not isinstance(record, dict):
            raise BorderError("expected a JSON object")
        versions = record.get("versions")
        if versions is not None:
            if not isinstance(versions, list) or len(versions) != 4:
                raise BorderError("versions: expected four")
            versions = tuple(map(text, versions))
        return RunKey(
            started=value_of(record, "started", moment, now),
            command=value_of(record, "command", text),
            versions=versions,
            position=value_of(record, "position", number, MAX_POSITION),
            contents=_contents(record.get("contents", {})),
        )


def _contents(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or len(found) > MAX_BANS:
        raise BorderError(f"contents: expected what at most {MAX_BANS} bans say")
    return {text(ban): text(content) for ban, content in found.items()}


def pack(batch: FactBatch) -> bytes:
    """A batch as bytes."""
    import pyarrow as pa
    from pyarrow import parquet

    about = {"run": batch.run.record(), "clients": list(map(_client_record, batch.clients))}
    head = zlib.compress(json.dumps(about, separators=(",", ":")).encode(), 1)
    stream = io.BytesIO()
    stream.write(_LENGTH.pack(len(head)) + head)
    with pa.PythonFile(stream, "w") as sink:
        rows = batch.rows.replace_schema_metadata(None)
        # The layout is known; an Arrow schema would be larger than the rows of a small batch. The
        # centre reads all rows, and has no use for statistics.
        options = {**writer_options(batch.table, ordered=False), "write_statistics": False}
        parquet.write_table(rows, sink, store_schema=False, **options)
        return stream.getvalue()


def unpack(table: str, content: bytes, now: int) -> FactBatch:
    """The batch in these bytes, which came at `now` (ns). Raises `BorderError` if they are invalid,
    or too large, before it takes more memory than `READ_BYTES`."""
    import pyarrow as pa
    from pyarrow import compute

    if table not in TIME_COLUMN:
        raise EnvelopeError("the content belongs to no table of facts")
    try:
        run, clients, rows = with_limited_memory(READ_BYTES, lambda: _read(table, content, now))
    except (MemoryError, SystemError):
        raise EnvelopeError("the batch needs more memory than a batch may") from None
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise EnvelopeError(f"the content is no batch of facts: {reason}") from None
    if not rows.num_rows:
        raise EnvelopeError("the batch has no rows")
    places = compute.min_max(rows["client"]).as_py()
    if places["min"] < 0 or places["max"] >= len(clients):
        raise EnvelopeError("rows of the batch name clients that it does not have")
    check_rows(table, rows, now)
    return FactBatch(table, run, clients, rows)


def _read(table: str, content: bytes, now: int) -> tuple[RunKey, list[ClientAddress], "pa.Table"]:
    """The run of a batch, its clients and its rows."""
    import pyarrow as pa

    about, at = _read_about(content)
    clients = [_client(record) for record in _clients(about)]
    run = read_run(about.get("run"), now)
    rows = _read_rows(table, pa.py_buffer(content).slice(at))
    rows.validate(full=True)
    return run, clients, rows


def _read_rows(table: str, content: "pa.Buffer") -> "pa.Table":
    """The rows in a Parquet file. They are read some at a time, so that a file that unpacks to more
    than allowed is noticed soon."""
    import pyarrow as pa
    from pyarrow import parquet

    # Texts come as the dictionaries that they are in the file.
    file = parquet.ParquetFile(pa.BufferReader(content), read_dictionary=_texts(table))
    _check_size(file.metadata)
    layout, parts, size = chunk_schema(table), [], 0
    for part in file.iter_batches(READ_ROWS, columns=layout.names, use_threads=False):
        size += part.nbytes
        if size > MAX_BATCH_BYTES:
            raise EnvelopeError(f"the batch is too large: more than {MAX_BATCH_BYTES:,} bytes")
        parts.append(_in_layout(table, pa.Table.from_batches([part])))
    return combined(pa.concat_tables(parts)) if parts else layout.empty_table()


def _clients(about: Any) -> list[Any]:
    found = about.get("clients") if isinstance(about, dict) else None
    if not isinstance(found, list) or len(found) > MAX_CLIENTS:
        raise BorderError(f"expected a list of at most {MAX_CLIENTS:,} clients")
    return found


def _read_about(content: bytes) -> tuple[Any, int]:
    """The header of a batch of rows, and the offset of the rows."""
    if len(content) < _LENGTH.size:
        raise ValueError("it is too short")
    (length,) = _LENGTH.unpack_from(content)
    end = _LENGTH.size + length
    decompressor = zlib.decompressobj()
    try:
        head = decompressor.decompress(content[_LENGTH.size : end], MAX_ABOUT)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not decompressor.eof:
        raise ValueError("its clients are cut, or too many")
    # Each list in it takes some twenty times its two bytes.
    if head.count(b"[") + head.count(b"{") > 2 * MAX_CLIENTS:
        raise ValueError(f"expected at most {MAX_CLIENTS:,} clients")
    # It is strict, and takes a fraction of the memory that the standard library does.
    return orjson.loads(head), end


def _check_size(metadata: Any) -> None:
    groups = [metadata.row_group(number) for number in range(min(metadata.num_row_groups, 1000))]
    size = sum(group.total_byte_size for group in groups)
    if metadata.num_rows > MAX_ROWS or metadata.num_row_groups > 1000 or size > MAX_BATCH_BYTES:
        raise EnvelopeError(f"the batch is too large: {metadata.num_rows:,} rows, {size:,} bytes")


def _in_layout(table: str, rows: "pa.Table") -> "pa.Table":
    """Rows in the layout of chunks, with dictionaries where these have them. An older sensor does
    not send columns that came later: they are empty."""
    import pyarrow as pa

    layout = chunk_schema(table)
    columns = []
    for wanted in layout:
        if wanted.name in _LATER and wanted.name not in rows.column_names:
            columns.append(pa.chunked_array([pa.nulls(rows.num_rows, wanted.type)]))
            continue
        column = rows[wanted.name]
        if not wanted.nullable and column.null_count:
            raise ValueError(f"the column {wanted.name} lacks values")
        if pa.types.is_dictionary(wanted.type) and not _is_encoded(column, wanted.type):
            column = column.cast(pa.string()).dictionary_encode()
        columns.append(column if column.type == wanted.type else column.cast(wanted.type))
    return pa.table(columns, schema=layout)


def _is_encoded(column: "pa.ChunkedArray", wanted: "pa.DataType") -> bool:
    """Whether a column has dictionaries, none of which has more texts than there are rows. A sensor
    could fill one with texts that no row has."""
    return column.type == wanted and all(
        len(chunk.dictionary) <= len(chunk) and not chunk.dictionary.null_count
        for chunk in column.chunks
    )


@cache
def _texts(table: str) -> list[str]:
    """The columns of a table whose texts are dictionaries."""
    return [column.name for column in FACTS[table] if column.kind == "text"]


def _client_record(client: ClientAddress) -> list[str | None]:
    sealed = base64.b64encode(client.sealed).decode() if client.sealed is not None else None
    return [
        client.ip,
        client.mac,
        client.network,
        client.network_class,
        client.pseudonym,
        sealed,
    ]


def _client(record: Any) -> ClientAddress:
    if not isinstance(record, list) or len(record) != 6:
        raise BorderError("expected six values for a client")
    ip, mac, network, network_class, pseudonym, sealed = record
    for value in (ip, mac, network, network_class, pseudonym):
        if value is not None:
            text(value, empty=True)
    if (ip is None) == (pseudonym is None):
        raise BorderError("a client has either an address or a pseudonym")
    if ip is not None and parse_ip(ip) is None:
        raise BorderError("expected the address of a client")
    if mac is not None and parse_mac(mac) is None:
        raise BorderError("expected the MAC of a client")
    try:
        opened = (
            None if sealed is None else base64.b64decode(text(sealed, MAX_SENTENCE), validate=True)
        )
    except binascii.Error:
        raise BorderError("a client is not sealed in base64") from None
    return ClientAddress(ip, mac, network, network_class, pseudonym, opened)
