"""SQL over the views of a store, and nothing else, in a process with limits.

A user's query is one ``SELECT`` (or ``DESCRIBE``, ``SHOW``, ``SUMMARIZE``, ``EXPLAIN``). DuckDB may
open exactly the files of the views and no others, has no extensions, and so no network, and its
settings are locked. It checks its own memory limit, and interruptions, only between operators. So
it runs in a process of its own: the system bounds its memory and CPU time and refuses it any write
to a file, and this process kills it when its time is up.

That process makes the views, has the system limit its resources from then on, and answers with
messages: an empty one when it begins; the types of the columns as JSON and their Arrow schema; the
rows as Arrow streams, and an empty one at the end. `FAILED` comes before JSON that describes an
error.
"""

import contextlib
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import NamedTuple

import duckdb
import pyarrow as pa

from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.system import kernel
from netwatch.core.system.workers import WorkerProcess
from netwatch.store.catalogue import Catalogue
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.views import TABLES, FilesError, Views, quoted

MEMORY_LIMIT = 1 << 30
"""Memory for a query, in bytes, for DuckDB and everything that it creates."""

MAX_MESSAGE = 256 << 20
"""Bytes of rows to send at a time."""

ROWS = 1024
"""Rows that a query returns at a time."""

ANSWER, FAILED = b"+", b"-"

_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
_ONLY_READS = "expected one SELECT: only the tables of the store can be read"
_NO_FILES = "only the tables of the store can be read, no files"

TIMEOUT = 60
"""How long a query may take, in s, by default."""

TOO_MUCH = f"the query needs more than {MEMORY_LIMIT >> 30} GB of memory: group or limit its rows"


class Request(NamedTuple):
    """A query, and its time limit in seconds."""

    options: StoreOptions
    query: str
    timeout: float


class _QueryError(Exception):
    """An invalid or forbidden query."""


def serve(request: Request, to: Connection) -> None:
    """Answer a request."""
    with contextlib.suppress(BrokenPipeError):
        try:
            for message in _results(request):
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
    # Freeing DuckDB's memory is not worth the time.
    os._exit(0)


def _fail(to: Connection, kind: str, text: str) -> None:
    to.send_bytes(FAILED + json.dumps({"kind": kind, "text": text}).encode())


def _results(request: Request) -> Iterator[bytes]:
    used = _check(request.query)
    with open_catalogue(request.options) as catalogue:
        views = _views(catalogue, request.options, used)
    connection = views.connection
    allowed = ", ".join(map(quoted, views.paths))
    connection.execute(f"SET allowed_paths = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    kernel.confine(MEMORY_LIMIT, request.timeout)
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
    """Refuse everything that is not a read; returns the views that a query uses, or all if it only
    asks which there are."""
    with duckdb.connect(":memory:") as parser:
        statements = parser.extract_statements(query)
        if len(statements) != 1 or statements[0].type not in _READING:
            raise _QueryError(_ONLY_READS)
    lower = query.lower()
    # The tables that a query uses are only known once the tables exist; making too many is only
    # slower.
    if any(word in lower for word in ("show", "information_schema", "duckdb_", "pg_", "sqlite_")):
        return list(TABLES)
    return [table for table in TABLES if table in lower]


def _words(error: duckdb.Error) -> str:
    """DuckDB's message on one line, without the copy of the query below it."""
    return " ".join(str(error).partition("\nLINE ")[0].split())


@contextmanager
def run(
    options: StoreOptions, query: str, *, timeout: float = TIMEOUT
) -> Iterator[tuple[Sequence[tuple[pa.Field, str]], Iterable[pa.RecordBatch]]]:
    """Run a query; returns its columns, each with its SQL type, and its rows. Raises `ConfigError`
    for an invalid or forbidden query, and `NetwatchError` if it takes longer than `timeout` s,
    needs too much memory, or the store cannot be read."""
    # A fork would lack the threads of the URL readers, and wait for them for ever.
    is_remote = "://" in options.path
    worker = WorkerProcess(
        partial(serve, Request(options, query, timeout)),
        is_forked=kernel.CAN_FORK and not is_remote,
        dies_with_this=True,
    )
    try:
        answers = _Answers(worker.connection, timeout)
        columns = json.loads(answers.next())
        schema = pa.ipc.read_schema(pa.py_buffer(answers.next()))
        yield [*zip(schema, columns, strict=True)], answers.batches()
    finally:
        worker.end()


class _Answers:
    """What the process sends, which has `timeout` seconds from its first message on. Methods raise
    the errors that it reports."""

    def __init__(self, connection: Connection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._deadline = math.inf
        self.next()
        self._deadline = time.monotonic() + timeout

    def next(self) -> bytes:
        """The next message."""
        left = self._deadline - time.monotonic()
        if left <= 0 or not self._connection.poll(None if left == math.inf else left):
            raise NetwatchError(
                f"the query took longer than {self._timeout:g} s and was ended; narrow it down, or"
                " give it more time with --timeout"
            )
        try:
            message = self._connection.recv_bytes(MAX_MESSAGE + 1)
        except (EOFError, OSError):
            # The system ended it, or DuckDB did so itself for lack of memory.
            raise NetwatchError(TOO_MUCH) from None
        if message[:1] == FAILED:
            raise _error(json.loads(message[1:]))
        return message[1:]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows."""
        while message := self.next():
            yield from pa.ipc.open_stream(pa.py_buffer(message))


def _error(said: dict[str, str]) -> Exception:
    kind, text = said["kind"], said["text"]
    if kind == "memory":
        return NetwatchError(TOO_MUCH)
    if kind == "query":
        return ConfigError.of("netwatch store sql", text)
    return NetwatchError(text)
