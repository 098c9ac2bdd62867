"""The process that runs a query of a user (`netwatch.store.sandbox`).

It makes the views, has the system limit what it may use from then on, and answers with messages: an
empty one when it begins; the types of the columns as JSON and their Arrow schema; the rows as
Arrow streams, and an empty one at the end. `FAILED` comes before JSON that says what went wrong.
"""

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import NamedTuple

import duckdb
import pyarrow as pa

from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.system import processes
from netwatch.store.catalogue import Catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.views import TABLES, FilesError, Views, quoted

MEMORY_LIMIT = 1 << 30
"""Memory for a query, in bytes, of DuckDB and of all that it makes."""

MAX_MESSAGE = 256 << 20
"""Bytes of the rows that are sent at a time."""

ROWS = 1024
"""Rows that a query gives at a time."""

ANSWER, FAILED = b"+", b"-"

_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
_ONLY_READS = "expected one SELECT: the tables of the store can be read, and nothing else"
_NO_FILES = "only the tables of the store can be read, no files"


class Request(NamedTuple):
    """A query, and how many seconds it may take."""

    options: StoreOptions
    query: str
    timeout: float


class _QueryError(Exception):
    """A query that is wrong or not allowed."""


def serve(to: Connection, other: Connection, request: Request, parent: int) -> None:
    """Answer a request. An interrupt from the keyboard is for the process that asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    processes.die_with(parent)
    other.close()
    with contextlib.suppress(BrokenPipeError):
        try:
            for message in _answers(request):
                to.send_bytes(ANSWER + message)
        except (MemoryError, duckdb.OutOfMemoryException):
            _fail(to, "memory", "")
        except duckdb.PermissionException:
            _fail(to, "query", _NO_FILES)
        except (_QueryError, ConfigError, pa.ArrowException) as error:
            _fail(to, "query", str(error))
        except duckdb.IOException as error:
            _fail(to, "store", str(FilesError(error)))
        except duckdb.Error as error:
            if ".parquet" in str(error):
                _fail(to, "store", str(FilesError(error)))
            else:
                _fail(to, "query", _words(error))
        except NetwatchError as error:
            _fail(to, "store", str(error))
    # Nothing of what DuckDB has is worth the time that it takes to free it.
    os._exit(0)


def _fail(to: Connection, kind: str, text: str) -> None:
    to.send_bytes(FAILED + json.dumps({"kind": kind, "text": text}).encode())


def _answers(request: Request) -> Iterator[bytes]:
    used = _check(request.query)
    with Catalogue.open(request.options) as catalogue:
        views = _views(catalogue, request.options, used)
    connection = views.connection
    allowed = ", ".join(map(quoted, views.paths))
    connection.execute(f"SET allowed_paths = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    processes.confine(MEMORY_LIMIT, request.timeout)
    yield b""
    relation = connection.sql(request.query)
    reader = relation.to_arrow_reader(ROWS)
    yield json.dumps([str(kind) for kind in relation.types]).encode()
    yield reader.schema.serialize().to_pybytes()
    for batch in reader:
        if batch.num_rows:
            yield _stream(batch)
    yield b""


def _stream(batch: pa.RecordBatch) -> bytes:
    if batch.nbytes > MAX_MESSAGE - (1 << 20):
        raise MemoryError
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def _views(catalogue: Catalogue, options: StoreOptions, tables: Sequence[str]) -> Views:
    """The views; files that were replaced while they were made are looked up again."""
    settings = {"memory_limit": f"{MEMORY_LIMIT}B", "temp_directory": ""}
    try:
        return Views(catalogue, options, tables, settings=settings)
    except FilesError:
        return Views(catalogue, options, tables, settings=settings)


def _check(query: str) -> list[str]:
    """Refuse whatever does not read; the views that a query uses, or all where it only asks which
    there are."""
    with duckdb.connect(":memory:") as parser:
        statements = parser.extract_statements(query)
        if len(statements) != 1 or statements[0].type not in _READING:
            raise _QueryError(_ONLY_READS)
    lower = query.lower()
    # Which tables a query uses is known only with the tables; to make too many is only slower.
    if any(word in lower for word in ("show", "information_schema", "duckdb_", "pg_", "sqlite_")):
        return list(TABLES)
    return [table for table in TABLES if table in lower]


def _words(error: duckdb.Error) -> str:
    """The message of DuckDB on one line, without the copy of the query below it."""
    return " ".join(str(error).partition("\nLINE ")[0].split())
