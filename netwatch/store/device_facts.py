"""What the facts say about one device: names and flows, by what they revealed in a period; how much
there is of each kind, and since when; the address claims on it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import duckdb

from netwatch.store.catalogue import Catalogue
from netwatch.store.database import QueryTimeoutError
from netwatch.store.fact_files import FactFiles
from netwatch.store.options import StoreOptions
from netwatch.store.queries import once_more
from netwatch.store.tables import BUCKETS
from netwatch.store.views import quoted

FactTable = Literal["observation", "flow", "claim"]

MAX_NAMES = 200
"""Names to return, those seen last first."""

MEMORY_LIMIT = 512 << 20
"""DuckDB memory for all devices that are read at a time, in bytes."""

THREADS = 1
"""DuckDB threads: a device has few rows, and several devices are read at a time."""

FACT_TABLES: tuple[FactTable, ...] = ("observation", "flow", "claim")
"""The tables of facts."""

_TIMES: dict[FactTable, tuple[str, str]] = {
    "observation": ("time", "time"),
    "flow": ("first", "last"),
    "claim": ("time", "time"),
}
"""The columns with the first and the last time of a row."""

_ROWS = 1000


@dataclass(frozen=True, slots=True)
class NameSeen:
    """A name that the device showed: when first and last (ns), and how often."""

    name: str
    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True)
class FactSpan:
    """How many rows there are, and the first and the last time of them (ns)."""

    rows: int
    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """The names, at most `MAX_NAMES`, and whether there are more; the flows by their name status
    (`netwatch.core.flow.NameStatus`)."""

    names: tuple[NameSeen, ...]
    more_names: bool
    flows: dict[str, int]


class DeviceFactReader:
    """Reads the facts of devices in one store, for any number of threads. Opening DuckDB takes
    longer than reading the few files of a device, so it stays open. Raises `NetwatchError` if the
    files cannot be reached."""

    def __init__(self, catalogue: Catalogue, options: StoreOptions) -> None:
        self._catalogue = catalogue
        self._files = FactFiles(options.path)
        self._database = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": f"{MEMORY_LIMIT}B",
                "temp_directory": "",
                "threads": THREADS,
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "python_enable_replacements": "false",
            },
        )
        if self._files.file_system is not None:
            self._database.register_filesystem(self._files.file_system)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def read(
        self,
        clients: Sequence[int],
        since: int,
        until: int,
        is_wanted: Callable[[str], bool] | None,
        timeout: float,
    ) -> DeviceFacts:
        """The facts of clients (numbers of the catalogue) from `since` up to, but without, `until`
        (ns). Only names that `is_wanted` are returned; without it no names are read. Raises
        `NetwatchError`, and `QueryTimeoutError` after `timeout` s."""
        shown = self._catalogue.shown_captures()

        def rows(connection: Any, table: FactTable, columns: str) -> Iterator[Any]:
            """The rows of the clients that end after `since` and begin before `until`."""
            source = self._source(table, clients, since, until)
            if not source:
                return
            first, last = _TIMES[table]
            connection.execute(
                f"SELECT {columns} {source}"
                f" AND {last} >= {since} AND {first} < {until}"
                " GROUP BY 1 ORDER BY 2 DESC, 1",
                {"shown": shown},
            )
            while part := connection.fetchmany(_ROWS):
                yield from part

        def facts() -> Iterator[DeviceFacts]:
            with self._database.cursor() as connection, _limit(connection, timeout):
                names: tuple[NameSeen, ...] = ()
                if is_wanted is not None:
                    columns = "name, max(time), min(time), count(*)"
                    seen = rows(connection, "observation", columns)
                    names = tuple(
                        NameSeen(name, begin, end, count)
                        for name, end, begin, count in islice(
                            (row for row in seen if is_wanted(row[0])), MAX_NAMES + 1
                        )
                    )
                flows = rows(connection, "flow", "name_status, count(*)")
                yield DeviceFacts(names[:MAX_NAMES], len(names) > MAX_NAMES, dict(flows))

        (found,) = once_more(facts)
        assert isinstance(found, DeviceFacts)
        return found

    def spans(self, clients: Sequence[int], timeout: float) -> dict[FactTable, FactSpan]:
        """How many rows of each table belong to clients, and since when. Raises `NetwatchError`,
        and `QueryTimeoutError` after `timeout` s."""
        shown = self._catalogue.shown_captures()

        def counted() -> Iterator[dict[FactTable, FactSpan]]:
            found = dict.fromkeys(FACT_TABLES, FactSpan(0, None, None))
            with self._database.cursor() as connection, _limit(connection, timeout):
                for table in FACT_TABLES:
                    if source := self._source(table, clients):
                        first, last = _TIMES[table]
                        query = f"SELECT count(*), min({first}), max({last}) {source}"
                        (row,) = connection.execute(query, {"shown": shown}).fetchall()
                        found[table] = FactSpan(*row)
            yield found

        (spans,) = once_more(counted)
        return dict(spans)

    def claims(self, clients: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """The address claims of clients, with their times (ns), as they are stored. Raises
        `NetwatchError`."""
        shown = self._catalogue.shown_captures()

        def read() -> Iterator[tuple[int, bytes]]:
            if source := self._source("claim", clients):
                with self._database.cursor() as connection:
                    connection.execute(f"SELECT time, claim {source} ORDER BY 1", {"shown": shown})
                    while part := connection.fetchmany(_ROWS):
                        yield from ((time, bytes(claim)) for time, claim in part)

        yield from once_more(read)

    def _source(
        self,
        table: FactTable,
        clients: Sequence[int],
        since: int | None = None,
        until: int | None = None,
    ) -> str:
        """The rows of clients in captures of the parameter ``shown``, from the files that may have
        some in a period, as SQL; empty if there are none."""
        buckets = {number % BUCKETS for number in clients}
        files = self._catalogue.files(table, since, until, buckets) if clients else []
        if not files:
            return ""
        paths = ", ".join(quoted(self._files.url(file.path)) for file in files)
        numbers = ", ".join(map(str, clients))
        return (
            f"FROM read_parquet([{paths}], hive_partitioning = false) WHERE client IN ({numbers})"
            " AND capture IN (SELECT unnest($shown::INTEGER[]))"
        )


@contextmanager
def _limit(connection: duckdb.DuckDBPyConnection, timeout: float) -> Iterator[None]:
    """Interrupt the statement on a connection after a time. Raises `QueryTimeoutError`."""
    timer = threading.Timer(timeout, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except duckdb.InterruptException:
        raise QueryTimeoutError(f"the query took longer than {timeout:g} s") from None
    finally:
        timer.cancel()
