"""The tables of a store as DuckDB views, over exactly the files in the catalogue.

`observation`, `flow` and `claim` read Parquet files. They join the client's address and network
from the catalogue, and only have rows of captures that are shown (`Catalogue.shown_captures`).
`incident`, `fleet_case`, `fleet_sensor`, `coverage`, `evidence` and `version` are copies of rows of
the catalogue (``case`` is an SQL keyword). `netwatch.store.tables` describes the columns.

Files are read in place: DuckDB reads columns and row groups from a local disk, or through fsspec
from an object store, and needs no other file.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import duckdb
import pyarrow as pa
from sqlalchemy import Select, func, select

from netwatch.core.errors import NetwatchError
from netwatch.core.private_files import PrivateFolder
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue, FileRow
from netwatch.store.fact_files import FactFiles
from netwatch.store.options import StoreOptions
from netwatch.store.tables import BUCKETS, FACTS, Kind

FACT_TABLES = tuple(FACTS)
"""The views over files."""

CATALOGUE_TABLES = ("incident", "fleet_case", "fleet_sensor", "coverage", "evidence", "version")
"""The views of rows of the catalogue."""

TABLES = (*FACT_TABLES, *CATALOGUE_TABLES)
"""All views, in the order in which they are listed."""

ROWS = 1000
"""Rows of the catalogue to fetch at a time."""

_TYPES: Mapping[Kind, str] = {
    "bool": "BOOLEAN",
    "uint8": "UTINYINT",
    "uint16": "USMALLINT",
    "int32": "INTEGER",
    "uint32": "UINTEGER",
    "int64": "BIGINT",
    "text": "VARCHAR",
    "texts": "VARCHAR[]",
    "numbers": "UINTEGER[]",
    "blob": "BLOB",
}

_CLIENT = {
    "client_ip": "c.ip",
    "client_port": "f.client_port",
    "client_mac": "c.mac",
    "client_network": "c.network",
}
_CLAIM = {
    "address": "json_extract_string(k.text, '$.address')",
    "mac": "json_extract_string(k.text, '$.mac')",
    "hostname": "json_extract_string(k.text, '$.hostname')",
}
_TIMES = {
    "observation": {"time": "time_ns"},
    "flow": {"first": "first_ns", "last": "last_ns"},
    "claim": {"time": "time_ns"},
}
_HIDDEN = frozenset({"claim", "time_digits"})


def _fact_columns(table: str) -> dict[str, str]:
    """The columns of a view over files, each with its expression."""
    found: dict[str, str] = {}
    for column in FACTS[table]:
        if column.name in _TIMES[table]:
            found[column.name] = f"make_timestamp_ns(f.{column.name})"
            found[_TIMES[table][column.name]] = f"f.{column.name}"
        elif column.name == "client":
            found["client_ip"] = _CLIENT["client_ip"]
            if table != "claim":
                found["client_port"] = _CLIENT["client_port"]
            found["client_mac"] = _CLIENT["client_mac"]
            found["client_network"] = _CLIENT["client_network"]
        elif column.name not in _HIDDEN:
            found.setdefault(column.name, f"f.{column.name}")
    if table == "claim":
        found |= _CLAIM
    # Only the store knows what the numbers mean: they come last.
    for name in ("capture", "sequence"):
        found[name] = found.pop(name)
    return found | {"client": "f.client", "day": "f.day", "sensor": "s.sensor"}


def quoted(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


class FilesError(NetwatchError):
    """The files of a store cannot be read: one is missing or damaged. It may have been replaced
    meanwhile."""

    def __init__(self, error: duckdb.Error) -> None:
        text = " ".join(str(error).partition("\nLINE ")[0].split())
        super().__init__(f"the files of the store cannot be read: {text}")


class Views:
    """An in-memory DuckDB database with views of a store; a context manager, which closes it.

    `tables` are the wanted views. `since` and `until` (ns) and `clients` (numbers) leave out files
    that cannot have rows of that time or of those clients: the views may also have other rows. What
    does not fit into memory is in a private folder, unless `settings` say otherwise. Raises
    `FilesError`, and `NetwatchError` if the catalogue fails.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        options: StoreOptions,
        tables: Iterable[str] = TABLES,
        *,
        since: int | None = None,
        until: int | None = None,
        clients: Sequence[int] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._files = FactFiles(options.path)
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
            "preserve_insertion_order": "true",
            **(settings or {}),
        }
        self._folder: PrivateFolder | None = None
        if "temp_directory" not in config:
            # Otherwise it would be below the current folder.
            with suppress(OSError):
                self._folder = PrivateFolder()
            config["temp_directory"] = str(self._folder.path) if self._folder else ""
        self.connection = duckdb.connect(":memory:", config=config)
        if self._files.file_system is not None:
            self.connection.register_filesystem(self._files.file_system)
        self.paths: list[str] = []
        self._since, self._until, self._clients = since, until, clients
        try:
            self._create(tables)
        except duckdb.Error as error:
            self.__exit__()
            raise FilesError(error) from None
        except BaseException:
            self.__exit__()
            raise

    def _create(self, tables: Iterable[str]) -> None:
        """Create the views."""
        self.connection.execute("CREATE SCHEMA netwatch")
        wanted = [table for table in TABLES if table in set(tables)]
        if set(FACT_TABLES) & set(wanted):
            self._copy_clients()
        for table in wanted:
            if table in FACTS:
                self._view_of_files(table)
            else:
                self._copy_of_rows(table)

    def __enter__(self) -> "Views":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        if self._folder is not None:
            self._folder.remove()

    def register(self, name: str, values: Sequence[Any], kind: str) -> None:
        """Make the table ``netwatch.NAME`` with a column ``value`` of an SQL type."""
        self.connection.execute(f"CREATE TABLE netwatch.{name} (value {kind})")
        self.copy(f"netwatch.{name}", pa.table({"value": pa.array(values, _ARROW[kind])}))

    def copy(self, table: str, rows: pa.Table) -> None:
        """Insert rows into a table."""
        self.connection.register("incoming_rows", rows)
        self.connection.execute(f"INSERT INTO {table} SELECT * FROM incoming_rows")
        self.connection.unregister("incoming_rows")

    def _copy_clients(self) -> None:
        client = tables.client.c
        with self._catalogue.database.reading() as connection:
            rows = connection.execute(
                select(
                    client.number,
                    func.coalesce(client.pseudonym, client.ip).label("ip"),
                    client.mac,
                    client.network,
                )
            ).all()
        self.connection.execute(
            "CREATE TABLE netwatch.client (number INTEGER PRIMARY KEY, ip VARCHAR, mac VARCHAR,"
            " network VARCHAR)"
        )
        self.copy("netwatch.client", _arrow(["number", "ip", "mac", "network"], rows))
        self.connection.execute(
            "CREATE TABLE netwatch.shown (place INTEGER, value INTEGER PRIMARY KEY, sensor VARCHAR)"
        )
        sensors = self._catalogue.capture_sensors()
        shown = [
            (place, capture, sensors.get(capture))
            for place, capture in enumerate(self._catalogue.shown_captures())
        ]
        self.copy("netwatch.shown", _arrow(["place", "value", "sensor"], shown))

    def _view_of_files(self, table: str) -> None:
        buckets = None
        if self._clients is not None:
            buckets = {number % BUCKETS for number in self._clients}
        rows = self._catalogue.files(table, self._since, self._until, buckets)
        landing = [row for row in rows if row.bucket is None]
        compacted = [row for row in rows if row.bucket is not None]
        # Columns missing in files of older versions come from the part without rows.
        parts = [_no_rows(table), *(self._read(part) for part in (landing, compacted) if part)]
        columns = ", ".join(
            f'{expression} AS "{name}"' for name, expression in _fact_columns(table).items()
        )
        union = " UNION ALL BY NAME ".join(f"SELECT * FROM {part}" for part in parts)
        text = (
            ", LATERAL (SELECT CASE WHEN json_valid(TRY(decode(f.claim)))"
            " THEN TRY(decode(f.claim)) END AS text) k"
            if table == "claim"
            else ""
        )
        self.connection.execute(f"CREATE VIEW netwatch.{table}_rows AS {union}")
        self.connection.execute(
            f"CREATE VIEW {table} AS SELECT {columns} FROM netwatch.{table}_rows f"
            " JOIN netwatch.shown s ON s.value = f.capture"
            f" LEFT JOIN netwatch.client c ON c.number = f.client{text}"
        )

    def _read(self, rows: Sequence[FileRow]) -> str:
        """The expression that reads files."""
        paths = [self._files.url(row.path) for row in rows]
        self.paths += paths
        hive = "hive_partitioning = true, hive_types = {day: DATE}, union_by_name = true"
        return f"read_parquet([{', '.join(map(quoted, paths))}], {hive})"

    def _copy_of_rows(self, table: str) -> None:
        statement, names, types, select_list = _COPIES[table]
        definition = ", ".join(f'"{name}" {kind}' for name, kind in zip(names, types, strict=True))
        self.connection.execute(f"CREATE TABLE netwatch.{table}_rows ({definition})")
        rows = streamed(self._catalogue, statement)
        while part := list(islice(rows, ROWS)):
            self.copy(f"netwatch.{table}_rows", _arrow(names, part))
        self.connection.execute(
            f"CREATE VIEW {table} AS SELECT {select_list} FROM netwatch.{table}_rows"
        )


def _no_rows(table: str) -> str:
    """An expression with the columns of files, and no rows."""
    columns = ", ".join(
        f'CAST(NULL AS {_TYPES[column.kind]}) AS "{column.name}"' for column in FACTS[table]
    )
    return f"(SELECT {columns}, CAST(NULL AS DATE) AS day WHERE false)"


_ARROW = {"INTEGER": pa.int32(), "BIGINT": pa.int64(), "VARCHAR": pa.string()}


def _arrow(names: Sequence[str], rows: Sequence[Any]) -> pa.Table:
    """Rows of the catalogue as a table of Arrow."""
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    kinds = {int: pa.int64(), str: pa.string()}
    arrays = []
    for column in columns:
        kind = next((kinds[type(each)] for each in column if each is not None), pa.string())
        arrays.append(pa.array(column, kind))
    return pa.table(dict(zip(names, arrays, strict=True)))


def streamed(
    catalogue: Catalogue, statement: Select[Any], timeout: float | None = None
) -> Iterator[Any]:
    """The rows of a statement on the catalogue, which are fetched some at a time. Raises
    `QueryTimeoutError` if that takes longer than `timeout` s."""
    with (
        catalogue.database.reading(timeout) as connection,
        connection.execution_options(yield_per=ROWS).execute(statement) as rows,
    ):
        yield from rows


def shown_incidents() -> Select[Any]:
    """The incidents that are shown: of those with the same id the newest run's, in the order of
    time, and within a run in the order of its output."""
    incident = tables.incident
    return (
        select(incident)
        .where(incident.c.shown == 1)
        .order_by(incident.c.first_seen, incident.c.run, incident.c.position)
    )


_INCIDENT = (
    "id", "run", "position", "status", "verdict", "confidence", "kind", "outcome", "app", "ban",
    "device", "network", "first_seen", "last_seen", "record",
)  # fmt: skip
_CASE = (
    "id", "status", "verdict", "confidence", "kind", "outcome", "app", "ban", "device", "network",
    "joined_by", "sensors", "incidents", "first_seen", "last_seen", "record",
)  # fmt: skip
_SENSOR = ("name", "enrolled", "heard", "silent_since", "clock_offset", "refused", "status")
_COPIES: Mapping[str, tuple[Select[Any], Sequence[str], Sequence[str], str]] = {
    "incident": (
        shown_incidents().with_only_columns(*(tables.incident.c[name] for name in _INCIDENT)),
        _INCIDENT,
        ["VARCHAR", "INTEGER", "INTEGER", *["VARCHAR"] * 9, "BIGINT", "BIGINT", "VARCHAR"],
        "id, status, verdict, confidence, kind, outcome, app, ban, device, network,"
        " make_timestamp_ns(first_seen) AS first_seen, make_timestamp_ns(last_seen) AS last_seen,"
        " first_seen AS first_seen_ns, last_seen AS last_seen_ns, record::JSON AS record, run",
    ),
    "fleet_case": (
        select(*(tables.fleet_case.c[name] for name in _CASE)).order_by(
            tables.fleet_case.c.first_seen, tables.fleet_case.c.id
        ),
        _CASE,
        [*["VARCHAR"] * 11, "INTEGER", "INTEGER", "BIGINT", "BIGINT", "VARCHAR"],
        "id, status, verdict, confidence, kind, outcome, app, ban, device, network,"
        " nullif(joined_by, '') AS joined_by, sensors, incidents,"
        " make_timestamp_ns(first_seen) AS first_seen, make_timestamp_ns(last_seen) AS last_seen,"
        " first_seen AS first_seen_ns, last_seen AS last_seen_ns, record::JSON AS record",
    ),
    "fleet_sensor": (
        select(*(tables.fleet_sensor.c[name] for name in _SENSOR)).order_by(
            tables.fleet_sensor.c.name
        ),
        _SENSOR,
        ["VARCHAR", *["BIGINT"] * 4, "INTEGER", "VARCHAR"],
        "name, make_timestamp_ns(enrolled) AS enrolled, make_timestamp_ns(heard) AS heard,"
        " make_timestamp_ns(silent_since) AS silent_since, clock_offset AS clock_offset_ns,"
        " refused, nullif(status, '')::JSON AS status",
    ),
    "coverage": (
        select(tables.coverage).order_by(tables.coverage.c.run, tables.coverage.c.part),
        ["run", "part", "first", "last", "record"],
        ["INTEGER", "INTEGER", "BIGINT", "BIGINT", "VARCHAR"],
        "make_timestamp_ns(first) AS first, make_timestamp_ns(last) AS last, first AS first_ns,"
        " last AS last_ns, record::JSON AS record, run, part",
    ),
    "evidence": (
        select(tables.evidence).order_by(tables.evidence.c.id),
        ["id", "run", "incident", "path", "size", "sha256", "stored"],
        ["INTEGER", "INTEGER", "VARCHAR", "VARCHAR", "BIGINT", "VARCHAR", "BIGINT"],
        "incident, path, size, sha256, make_timestamp_ns(stored) AS stored, run",
    ),
    "version": (
        select(tables.version).order_by(tables.version.c.id),
        ["id", "netwatch", "signatures", "bans", "configuration", "first_used"],
        ["INTEGER", "VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR", "BIGINT"],
        "id, netwatch, signatures, bans, configuration, make_timestamp_ns(first_used) AS"
        " first_used",
    ),
}
"""For each copy: the rows of the catalogue, their columns with types, and what the view selects."""
