"""How much a store has: rows, files and bytes by table, days, runs, and losses; and whether it is
intact: every file in the catalogue is read and compared with its row.

Reads a store without changing anything in it: an older catalogue is not migrated, and none is
created. Used for information only, as in ``netwatch doctor``, and for what ``store upgrade`` would
do.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pyarrow import compute, parquet
from sqlalchemy import Connection, case, create_engine, func, inspect, or_, select, text, true
from sqlalchemy.pool import NullPool

from netwatch.core import owned_database
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.installing import install_command
from netwatch.core.owned_database import OtherVersionError
from netwatch.store import catalogue_tables as tables
from netwatch.store import migrations
from netwatch.store.catalogue import Catalogue, FileRow
from netwatch.store.compaction import BUCKET_ROWS
from netwatch.store.database import FILE, KIND, Database, file_engine, open_database, server_url
from netwatch.store.fact_files import LEFTOVER_AGE, FactFiles
from netwatch.store.fact_tables import FORMAT_KEY, TIME_COLUMN
from netwatch.store.hour_rows import loss_totals, saturated
from netwatch.store.migrations import WHAT
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.tables import BUCKETS, FACTS, FORMAT_VERSION, columns_of

Found = Literal["missing", "unreadable", "changed", "wrong", "stray"]
"""What is wrong with a file: it is missing; it is not a Parquet file; its content is not what was
written; its rows do not match its row in the catalogue; it is not in the catalogue."""


@dataclass(frozen=True, slots=True)
class TableStatus:
    """The files of a table, of which `landing` wait for compaction; times are ns."""

    table: str
    rows: int
    files: int
    landing: int
    bytes: int
    days: int
    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """A store: its id, `created` and versions, its tables, and numbers of rows of the catalogue.
    `open_captures` are captures whose run continues or was killed, `partial_captures` have missing
    rows. `losses` is what is missing in the store, by kind (`netwatch.store.hour_rows`)."""

    id: str
    created: int
    schema: int
    format: int
    tables: tuple[TableStatus, ...]
    runs: int
    last_run: int | None
    captures: int
    open_captures: int
    partial_captures: int
    lost_rows: int
    losses: Mapping[str, int]
    clients: int
    incidents: int
    evidence: int


def status(catalogue: Catalogue) -> StoreStatus:
    """The state of a store, only from its catalogue."""
    file, capture = tables.file.c, tables.capture.c

    def count(condition: Any) -> Any:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    with catalogue.database.reading() as connection:
        store = connection.execute(select(tables.store)).one()
        found = {
            row.table: row
            for row in connection.execute(
                select(
                    file.table,
                    func.sum(file.rows).label("rows"),
                    func.count().label("files"),
                    count(file.bucket.is_(None)).label("landing"),
                    func.sum(file.bytes).label("bytes"),
                    func.count(file.day.distinct()).label("days"),
                    func.min(file.first).label("first"),
                    func.max(file.last).label("last"),
                ).group_by(file.table)
            )
        }
        runs, last_run = connection.execute(
            select(func.count(), func.max(tables.run.c.started)).select_from(tables.run)
        ).one()
        captures, opened, partial, lost = connection.execute(
            select(
                func.count(),
                count(capture.state == "open"),
                count(capture.state == "partial"),
                func.coalesce(func.sum(saturated(capture.lost_rows)), 0),
            ).select_from(tables.capture)
        ).one()
        losses = loss_totals(connection)
        sizes = [
            connection.execute(
                select(func.count()).select_from(table).where(condition)
            ).scalar_one()
            for table, condition in (
                (tables.client, true()),
                # If several runs found an incident, the newest is shown.
                (tables.incident, tables.incident.c.shown == 1),
                # Besides evidence captures there is a row for each whole capture.
                (tables.evidence, tables.evidence.c.incident.is_not(None)),
            )
        ]
    return StoreStatus(
        id=store.id,
        created=store.created,
        schema=store.schema,
        format=store.format,
        tables=tuple(_table_status(table, found.get(table)) for table in FACTS),
        runs=runs,
        last_run=last_run,
        captures=captures,
        open_captures=int(opened),
        partial_captures=int(partial),
        lost_rows=int(lost),
        losses=losses,
        clients=sizes[0],
        incidents=sizes[1],
        evidence=sizes[2],
    )


def _table_status(table: str, row: Any) -> TableStatus:
    if row is None:
        return TableStatus(table, 0, 0, 0, 0, 0, None, None)
    return TableStatus(
        table,
        int(row.rows),
        row.files,
        int(row.landing),
        int(row.bytes),
        row.days,
        row.first,
        row.last,
    )


@dataclass(frozen=True, slots=True)
class Flaw:
    """One problem, at a path below the store. Only a `stray` file is harmless: readers do not see
    it, and it is swept."""

    path: str
    found: Found
    reason: str


def check(catalogue: Catalogue, options: StoreOptions) -> Iterator[Flaw]:
    """All problems with the files of a store. Files that are replaced meanwhile are looked up
    again. Raises `NetwatchError` if the store cannot be read at all."""
    files = FactFiles(options.path)
    client = tables.client.c.number
    with catalogue.database.reading() as connection:
        clients = pa.array(connection.execute(select(client)).scalars().all(), pa.int32())
    listed: set[str] = set()
    for table in FACTS:
        for row in catalogue.files(table):
            listed.add(row.path)
            flaw = _check_file(files, row, clients)
            if flaw is not None and _is_listed(catalogue, row.path):
                yield flaw
    # A file that a writer has just renamed is listed in a moment.
    for table in FACTS:
        for path, age in files.walk(table):
            if path not in listed and age > LEFTOVER_AGE and not _is_listed(catalogue, path):
                yield Flaw(path, "stray", "the catalogue does not have it; it will be swept")


def _is_listed(catalogue: Catalogue, path: str) -> bool:
    with catalogue.database.reading() as connection:
        row = tables.file.c.path == path
        return connection.execute(select(tables.file.c.path).where(row)).first() is not None


def _check_file(files: FactFiles, row: FileRow, clients: pa.Array) -> Flaw | None:
    """The first problem with a file."""
    try:
        with files.open(row.path) as stream:
            content = stream.read()
    except (NetwatchError, OSError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, FileNotFoundError):
            return Flaw(row.path, "missing", "the file is not there")
        return Flaw(row.path, "unreadable", str(error))
    if len(content) != row.bytes or hashlib.sha256(content).hexdigest() != row.sha256:
        reason = f"its content is not what was written ({len(content):,} of {row.bytes:,} bytes)"
        return Flaw(row.path, "changed", reason)
    try:
        found = parquet.ParquetFile(pa.BufferReader(content))
        rows = found.read(columns=["client", TIME_COLUMN[row.table]])
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        return Flaw(row.path, "unreadable", " ".join(str(error).split()))
    reason = _difference(found, rows, row, clients)
    return Flaw(row.path, "wrong", reason) if reason else None


def _difference(found: parquet.ParquetFile, rows: pa.Table, row: FileRow, clients: pa.Array) -> str:
    """How a file differs from its row in the catalogue, in words; empty if it does not."""
    metadata = found.schema_arrow.metadata or {}
    version = metadata.get(FORMAT_KEY.encode(), b"").decode()
    if version not in map(str, range(1, FORMAT_VERSION + 1)):
        return f"its format is '{version}', expected at most '{FORMAT_VERSION}'"
    columns = [column.name for column in columns_of(row.table, int(version))]
    if found.schema_arrow.names != columns:
        return f"its columns are {', '.join(found.schema_arrow.names)}"
    if rows.num_rows != row.rows:
        return f"it has {rows.num_rows:,} rows, expected {row.rows:,}"
    if not rows.num_rows:
        return ""
    times = compute.min_max(rows.column(TIME_COLUMN[row.table])).as_py()
    if (times["min"], times["max"]) != (row.first, row.last) and row.table != "flow":
        return "its times differ from its row's"
    numbers = rows.column("client").unique()
    unknown = compute.invert(compute.is_in(numbers, clients))
    if missing := compute.sum(unknown).as_py():
        return f"{missing:,} of its clients are not in the catalogue"
    if row.bucket is not None:
        buckets = {number % BUCKETS for number in numbers.to_pylist()}
        if buckets != {row.bucket}:
            return f"it has clients of other buckets than {row.bucket}"
    return ""


_COUNTED = (tables.run, tables.capture, tables.client, tables.incident, tables.coverage)


class NoStoreError(NetwatchError):
    """There is no store yet."""


class OlderSchemaError(NetwatchError):
    """An older netwatch wrote the catalogue; the next command that opens it upgrades it."""


@dataclass(frozen=True, slots=True)
class Examination:
    """The content of a store. `waiting` files are to be merged by compaction, the `oldest` since
    then; `written` is the time of the newest file of all. Times are ns, None if there is no such
    file. `bytes_by_day` has the bytes of the newest days (``YYYY-MM-DD``)."""

    status: StoreStatus
    waiting: int
    oldest: int | None
    written: int | None
    bytes_by_day: Mapping[str, int]


def examine(options: StoreOptions, timeout: float, days: int = 8) -> Examination:
    """The content of a store, with its `days` newest days. A server has `timeout` s to answer.
    Raises `NoStoreError`, `OlderSchemaError`, `ConfigError` for a newer or foreign catalogue, and
    `NetwatchError`."""
    database = open_unchanged(options, timeout)
    try:
        return _examined(Catalogue(database), timeout, days)
    finally:
        database.close()


def open_unchanged(options: StoreOptions, timeout: float) -> Database:
    """The database of a catalogue, unchanged. Raises as `examine` does."""
    return _server(options, timeout) if options.catalogue else _file(Path(options.path))


def _examined(catalogue: Catalogue, timeout: float, days: int) -> Examination:
    found = status(catalogue)
    file = tables.file.c
    count, size = func.count(), func.sum(file.rows)
    with catalogue.database.reading(timeout) as connection:
        # What compaction merges: a single small file of a table and day stays as it is.
        groups = connection.execute(
            select(count, func.min(file.created))
            .where(file.bucket.is_(None))
            .group_by(file.table, file.day)
            .having(or_(count > 1, size >= BUCKET_ROWS))
        ).all()
        written = connection.execute(select(func.max(file.created))).scalar()
        rows = connection.execute(
            select(file.day, func.sum(file.bytes))
            .group_by(file.day)
            .order_by(file.day.desc())
            .limit(days)
        ).all()
    return Examination(
        found,
        waiting=sum(number for number, _ in groups),
        oldest=min((created for _, created in groups), default=None),
        written=written,
        bytes_by_day={day: int(octets) for day, octets in rows},
    )


def _file(folder: Path) -> Database:
    path = folder / FILE
    try:
        condition = owned_database.identify(path, KIND)
    except OtherVersionError as error:
        raise _other(error.version, str(path)) from None
    if condition == "damaged":
        raise NetwatchError(f"{path}: is damaged; restore a backup with 'netwatch restore'")
    if condition == "missing":
        raise NoStoreError(f"{folder}: there is no store; 'netwatch scan --store' creates one")
    return Database(file_engine(path), str(path))


def _server(options: StoreOptions, timeout: float) -> Database:
    url = server_url(options.catalogue)
    place = url.set(drivername="postgresql").render_as_string(hide_password=True)
    try:
        arguments = {"connect_timeout": max(2, int(timeout))}
        engine = create_engine(url, poolclass=NullPool, connect_args=arguments)
    except ImportError:
        message = f"a catalogue in PostgreSQL needs an extra: {install_command('postgres')}"
        raise ConfigError.of(place, message) from None
    database = Database(engine, place)
    with database.reading(timeout) as connection:
        names = set(inspect(connection).get_table_names())
        if not names:
            raise NoStoreError(f"{place}: there is no store; 'netwatch scan --store' creates one")
        if not {"store", "capture", "client", "file"} <= names:
            raise ConfigError.of(place, "has tables of another program")
        schema = connection.execute(select(tables.store.c.schema)).scalar_one()
    if schema != tables.SCHEMA_VERSION:
        raise _other(schema, place)
    return database


def _other(schema: int, place: str) -> NetwatchError:
    """The error for a catalogue of another version."""
    try:
        migrations.refuse_unknown(schema, place)
    except ConfigError as error:
        return error
    return OlderSchemaError(
        f"{place}: was written by an older netwatch (schema {schema}, now {tables.SCHEMA_VERSION});"
        " run 'netwatch store upgrade', or the next command that opens the store upgrades it"
    )


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A catalogue of version `schema` at `place`: what each step does by its version, the `rows` of
    its tables by their names, and its size in `bytes`."""

    place: str
    schema: int
    steps: tuple[tuple[int, str], ...]
    rows: dict[str, int]
    bytes: int


def needed_upgrade(options: StoreOptions) -> Upgrade | None:
    """What an upgrade would do; None if the catalogue has the present version. Raises
    `ConfigError` for a newer one, and `NetwatchError` if there is none."""
    database = open_database(options, create=False, migrate=False)
    try:
        with database.reading() as connection:
            schema = connection.execute(select(tables.store.c.schema)).scalar_one()
            if schema == tables.SCHEMA_VERSION:
                return None
            names = inspect(connection).get_table_names()
            rows = {
                table.name: connection.execute(
                    select(func.count()).select_from(text(table.name))
                ).scalar_one()
                for table in _COUNTED
                if table.name in names
            }
            size = _size(connection, database, options)
    finally:
        database.close()
    steps = tuple((version + 1, WHAT[version]) for version in range(schema, tables.SCHEMA_VERSION))
    return Upgrade(database.place, schema, steps, rows, size)


def upgrade(options: StoreOptions) -> None:
    """Upgrade a catalogue to the present version. Raises as `needed_upgrade` does."""
    open_catalogue(options).close()


def _size(connection: Connection, database: Database, options: StoreOptions) -> int:
    if options.catalogue:
        size = text("SELECT pg_database_size(current_database())")
        return int(connection.execute(size).scalar_one())
    paths = Path(options.path).glob(f"{FILE}*")
    return sum(path.stat().st_size for path in paths)
