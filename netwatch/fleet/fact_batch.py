"""A batch of facts: rows of one table as a Parquet file, behind the clients that they name.

::

    length of the next part, 4 bytes
    {"run": …, "clients": [[ip, mac, …], …]}    JSON, compressed by zlib
    Parquet

In the column ``client`` rows have places in the list of clients. A batch comes from another
machine, which may be broken or taken over, so what is in it is checked before any of it is stored,
and reading it is bounded.
"""

import base64
import binascii
import io
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cache
from typing import TYPE_CHECKING, Any

from netwatch.core.dataclass import dataclass
from netwatch.fleet.envelope import EnvelopeError
from netwatch.store.arrow_schema import TIME_COLUMN, chunk_schema
from netwatch.store.catalogue_clients import ClientAddress
from netwatch.store.landing import DAY
from netwatch.store.parquet import writer_options
from netwatch.store.tables import FACTS

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ABOUT = 64 << 20
"""Bytes of the clients of a batch."""

MAX_BANS = 1000
"""Bans of which a batch tells what they say."""

MAX_ROWS = 1_000_000
"""Rows of a batch that are read."""

MAX_BATCH_BYTES = 512 << 20
"""Bytes of a batch in memory, as its file announces them."""

MAX_DAYS = 400
"""Days of which a batch may have rows; each becomes a file."""

_FIRST_DAY, _LAST_DAY = 0, 84_006
"""Days since the epoch that rows may be of: 1970 to 2199."""

_MAX_TEXT = 300
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunKey:
    """The run of a sensor: when it began (ns by its clock), its command, the versions that decided
    (netwatch, signatures, bans, configuration; None where nothing was judged), the position of the
    capture in it, and what the bans of the versions say, which a sensor of an older netwatch does
    not tell. Runs are the same whatever they say of that."""

    started: int
    command: str
    versions: tuple[str, str, str, str] | None
    position: int
    contents: Mapping[str, str] = field(default_factory=dict, compare=False)

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


def read_run(record: Any) -> RunKey:
    """The run in a record that `RunKey.record` made. Raises `EnvelopeError` for any other."""
    try:
        versions = record["versions"]
        if versions is not None:
            versions = tuple(map(_text, versions))
            if len(versions) != 4:
                raise ValueError(versions)
        return RunKey(
            started=_number(record["started"]),
            command=_text(record["command"]),
            versions=versions,
            position=_number(record["position"]),
            contents=_contents(record.get("contents", {})),
        )
    except (KeyError, TypeError, ValueError):
        raise EnvelopeError("the content names no valid run") from None


def _contents(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or len(found) > MAX_BANS:
        raise ValueError("expected what bans say")
    return {_text(ban): _text(content) for ban, content in found.items()}


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
        # The layout is known; a schema of Arrow would be larger than the rows of a small batch. The
        # centre reads all rows, and has no use for statistics.
        options = {**writer_options(batch.table, ordered=False), "write_statistics": False}
        parquet.write_table(rows, sink, store_schema=False, **options)
        return stream.getvalue()


def unpack(table: str, content: bytes) -> FactBatch:
    """The batch in these bytes. Raises `EnvelopeError` for what is none, or is too large."""
    import pyarrow as pa
    from pyarrow import compute, parquet

    if table not in TIME_COLUMN:
        raise EnvelopeError("the content is of no table of facts")
    try:
        about, at = _read_about(content)
        # Texts come as the dictionaries that they are in the file.
        rows_at = pa.BufferReader(pa.py_buffer(content).slice(at))
        file = parquet.ParquetFile(rows_at, read_dictionary=_texts(table))
        _check_size(file.metadata)
        rows = _in_layout(table, file.read(use_threads=False))
        rows.validate(full=True)
        clients = [_client(record) for record in about["clients"]]
        run = read_run(about["run"])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise EnvelopeError(f"the content is no batch of facts: {reason}") from None
    if not rows.num_rows:
        raise EnvelopeError("the batch has no rows")
    places = compute.min_max(rows["client"]).as_py()
    if places["min"] < 0 or places["max"] >= len(clients):
        raise EnvelopeError("rows of the batch name clients that it does not have")
    _check_days(rows[TIME_COLUMN[table]])
    return FactBatch(table, run, clients, rows)


def _read_about(content: bytes) -> tuple[Any, int]:
    """What a batch says of its rows, and where these begin."""
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
    return json.loads(head), end


def _check_size(metadata: Any) -> None:
    groups = [metadata.row_group(number) for number in range(min(metadata.num_row_groups, 1000))]
    size = sum(group.total_byte_size for group in groups)
    if metadata.num_rows > MAX_ROWS or metadata.num_row_groups > 1000 or size > MAX_BATCH_BYTES:
        raise EnvelopeError(f"the batch is too large: {metadata.num_rows:,} rows, {size:,} bytes")


def _in_layout(table: str, rows: "pa.Table") -> "pa.Table":
    """Rows in the layout of chunks, with dictionaries where these have them."""
    import pyarrow as pa

    layout = chunk_schema(table)
    columns = []
    for wanted in layout:
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


def _check_days(times: "pa.ChunkedArray") -> None:
    from pyarrow import compute

    span = compute.min_max(times).as_py()
    first, last = span["min"] // DAY, span["max"] // DAY
    if not _FIRST_DAY <= first <= last <= _LAST_DAY:
        raise EnvelopeError("the batch has rows of an impossible time")
    if last - first >= MAX_DAYS and (
        compute.count_distinct(compute.divide(times, DAY)).as_py() > MAX_DAYS
    ):
        raise EnvelopeError(f"the batch has rows of more than {MAX_DAYS} days")


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
    ip, mac, network, network_class, pseudonym, sealed = record
    for value in (ip, mac, network, network_class, pseudonym):
        if value is not None:
            _text(value, empty=True)
    if (ip is None) == (pseudonym is None):
        raise ValueError("a client has either an address or a pseudonym")
    try:
        opened = None if sealed is None else base64.b64decode(sealed, validate=True)
    except binascii.Error:
        raise ValueError("a client is not sealed in base64") from None
    return ClientAddress(ip, mac, network, network_class, pseudonym, opened)


def _text(value: Any, *, empty: bool = False) -> str:
    is_text = isinstance(value, str) and len(value) <= _MAX_TEXT and "\0" not in value
    if not is_text or (not value and not empty):
        raise ValueError("expected a short text")
    value.encode()  # An unpaired surrogate cannot be stored.
    return str(value)


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError("expected a number")
    return value
