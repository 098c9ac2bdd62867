"""SQL over the views of a store, and over nothing else.

A user's query is one ``SELECT`` (or ``DESCRIBE``, ``SHOW``, ``SUMMARIZE``, ``EXPLAIN``). DuckDB
may open exactly the files of the views and no other one, has no extensions, and its settings are
locked. A query that takes too long is interrupted, and one that needs too much memory fails.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.store.catalogue import Catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.views import TABLES, FilesError, Views, quoted

TIMEOUT = 60
"""How long a query may take, in s, unless the user says otherwise."""

MEMORY_LIMIT = 1 << 30
"""Memory of DuckDB for a query, in bytes."""

ROWS = 1024
"""Rows that a query gives at a time."""

_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
_ONLY_READS = "expected one SELECT: the tables of the store can be read, and nothing else"
_NO_FILES = "only the tables of the store can be read, no files"


@contextmanager
def run(
    catalogue: Catalogue, options: StoreOptions, query: str, *, timeout: float = TIMEOUT
) -> Iterator[tuple[Sequence[tuple[pa.Field, str]], Iterable[pa.RecordBatch]]]:
    """Run a query; its columns, each with its type in SQL, and its rows. Raises `ConfigError` for a
    query that is wrong or not allowed, and `NetwatchError` where it takes longer than `timeout` s,
    needs too much memory, or the store cannot be read."""
    with _sandbox(catalogue, options, query) as connection:
        expired = threading.Event()

        def interrupt() -> None:
            expired.set()
            connection.interrupt()

        timer = threading.Timer(timeout, interrupt)
        timer.daemon = True
        timer.start()
        try:
            with _errors(expired, timeout):
                relation = connection.sql(query)
                reader = relation.to_arrow_reader(ROWS)
                kinds = [str(kind) for kind in relation.types]
                yield [*zip(reader.schema, kinds, strict=True)], reader
        finally:
            timer.cancel()


@contextmanager
def _sandbox(
    catalogue: Catalogue, options: StoreOptions, query: str
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the views that a query names."""
    with _errors(threading.Event(), 0):
        used = _check(query)
    with _views(catalogue, options, used) as views:
        connection = views.connection
        allowed = ", ".join(map(quoted, views.paths))
        connection.execute(f"SET allowed_paths = [{allowed}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


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
            raise ConfigError([Problem("netwatch store sql", 0, 0, _ONLY_READS)])
    lower = query.lower()
    # Which tables a query uses is known only with the tables; to make too many is only slower.
    if any(word in lower for word in ("show", "information_schema", "duckdb_", "pg_", "sqlite_")):
        return list(TABLES)
    return [table for table in TABLES if table in lower]


@contextmanager
def _errors(expired: threading.Event, timeout: float) -> Iterator[None]:
    """Errors of DuckDB in plain words."""
    try:
        yield
    except duckdb.InterruptException:
        if not expired.is_set():
            raise KeyboardInterrupt from None
        raise NetwatchError(
            f"the query took longer than {timeout:g} s and was ended; narrow it down, or give it"
            " more time with --timeout"
        ) from None
    except duckdb.OutOfMemoryException:
        raise NetwatchError(
            f"the query needs more than {MEMORY_LIMIT >> 30} GB of memory: group or limit its rows"
        ) from None
    except duckdb.PermissionException:
        raise ConfigError([Problem("netwatch store sql", 0, 0, _NO_FILES)]) from None
    except duckdb.IOException as error:
        raise FilesError(error) from None
    except duckdb.Error as error:
        if ".parquet" in str(error):
            raise FilesError(error) from None
        raise ConfigError([Problem("netwatch store sql", 0, 0, _words(error))]) from None


def _words(error: duckdb.Error) -> str:
    """The message of DuckDB on one line, without the copy of the query below it."""
    return " ".join(str(error).partition("\nLINE ")[0].split())
