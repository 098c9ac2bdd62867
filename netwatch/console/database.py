"""The database of the console as a whole: opened, created where there is none, brought up to date;
its accounts counted without changing anything; a person erased from it, and the head of the audit
taken away.

Where a person is erased, filters that accounts saved and that name her go, tokens whose purpose
does, and what was decided of her incidents. So do the purposes that sessions have stated, which are
typed texts, all of them: people are asked again. Rows of the audit stay, since they say who looked,
when, and at what kind of page; of rows that are about her or mention her, the keys go, so that
nobody can read whom they are about and why (`netwatch.console.audit`). Whom they are about has a
pseudonym, by which the rows about a name can still be found.

The head of the audit goes to where the user of the service cannot change it, since this user can
rewrite the whole audit. What the service wrote to the log of the system before, and what a report
says that somebody else has, stays: `netwatch audit verify --head HASH` compares the audit with it.
"""

import secrets
import sqlite3
import syslog
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from sqlalchemy import Connection, delete, func, insert, inspect, select, text, update

from netwatch.console import tables
from netwatch.console.audit import Audit
from netwatch.console.tables import AUDIT_KEY, KEY_BYTES, KEYS, Content, seal
from netwatch.console.triage import erase_triage
from netwatch.core import owned_database
from netwatch.core.errors import NetwatchError
from netwatch.core.owned_database import FileKind, OtherVersionError
from netwatch.report.values import AuditHead, Report
from netwatch.store.database import Database, create_statements, file_engine, open_database
from netwatch.store.erasing import vacuum
from netwatch.store.options import StoreOptions
from netwatch.store.person import ALWAYS
from netwatch.store.status import open_unchanged

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from netwatch.store.person import Person

FILE = "console.sqlite"
"""The name of the SQLite database in the folder of the store."""

_WHAT = "the database of the console"
_BATCH = 1000

INTERVAL = 900.0
"""Seconds after which a head that has changed is written again."""


KIND = FileKind(
    "console", 0x4E57636F, tables.SCHEMA_VERSION, create_statements(tables.metadata)
)  # "NWco"
"""How the SQLite file of a console is recognised, and its tables."""


def open_console(options: StoreOptions) -> Database:
    """The database of the console of a store, which is created if there is none. Raises
    `ConfigError` for a place that is not for one, and `NetwatchError` if it cannot be opened."""
    if options.catalogue or "://" in options.path:
        return _open_server(options)
    return _open_file(Path(options.path))


def has_console(options: StoreOptions) -> bool:
    """Whether a store has the database of a console. Raises `NetwatchError` if that cannot be
    found out."""
    if not options.catalogue and "://" not in options.path:
        return (Path(options.path) / FILE).exists()
    catalogue = open_database(options, create=False)
    try:
        with catalogue.reading() as connection:
            return inspect(connection).has_table(tables.audit.name)
    finally:
        catalogue.close()


def _open_file(folder: Path) -> Database:
    path = folder / FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kind = _kind_at(path)
        condition = owned_database.identify(path, kind)
        if condition == "damaged":
            raise NetwatchError(f"{path}: is damaged")
        if condition == "missing":
            owned_database.create(path, KIND, _fill)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NetwatchError(f"{path}: cannot be opened: {reason}") from None
    database = Database(file_engine(path), str(path), _WHAT)
    if kind.version != KIND.version:
        with database.writing() as connection:
            _upgrade(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {KIND.version}")
        vacuum(database.engine, [tables.audit], _WHAT)
    return database


def _kind_at(path: Path) -> FileKind:
    """The kind of file that the database at `path` is, with its version. Raises `ConfigError` for a
    newer one."""
    try:
        owned_database.identify(path, KIND)
    except OtherVersionError as error:
        if error.version > KIND.version:
            raise
        return replace(KIND, version=error.version)
    return KIND


def _upgrade(connection: Connection) -> None:
    """From version 1: purposes belong to persons, and wrong passwords are kept. Sessions end, whose
    rows had one purpose for all persons. From version 2: what the audit says of people is sealed,
    and accounts of a provider have names. Their sessions end, which were begun under a name. From
    version 3: programs have tokens. From version 4: incidents have a triage. From
    version 5: filters can be shared. From version 6: what outputs were not told is kept."""
    found = inspect(connection)
    has_purposes, has_keys, has_names = (
        found.has_table(table.name)
        for table in (tables.purpose, tables.audit_key, tables.foreign_name)
    )
    if not has_purposes:
        tables.session.drop(connection)
    elif not has_names:
        connection.execute(delete(tables.session).where(tables.session.c.source == "oidc"))
    tables.metadata.create_all(connection)
    if not has_keys:
        connection.execute(insert(tables.secret).values(_new_key(AUDIT_KEY)))
        _seal_audit(connection)


def _seal_audit(connection: Connection) -> None:
    """Seal the rows of an older netwatch, whose hashes stay."""
    key = connection.execute(
        select(tables.secret.c.value).where(tables.secret.c.name == AUDIT_KEY)
    ).scalar_one()
    is_server = connection.dialect.name == "postgresql"
    removal = tables.POSTGRES_REMOVAL if is_server else tables.SQLITE_REMOVAL
    for statement in removal:
        connection.execute(text(statement))
    row, last = tables.audit.c, 0
    while found := connection.execute(
        select(row.number, row.subject, row.purpose, row.detail)
        .where(row.number > last)
        .order_by(row.number)
        .limit(_BATCH)
    ).all():
        for entry in found:
            content = Content(entry.subject, entry.purpose, entry.detail, "")
            row_key, stored = seal(bytes(key), entry.number, content)
            connection.execute(
                update(tables.audit).where(row.number == entry.number).values(**stored)
            )
            connection.execute(insert(tables.audit_key).values(number=entry.number, key=row_key))
        last = found[-1].number
    for statement in tables.POSTGRES_TRIGGERS if is_server else tables.SQLITE_TRIGGERS:
        connection.execute(text(statement))


def _new_key(name: str) -> dict[str, object]:
    return {"name": name, "value": secrets.token_bytes(KEY_BYTES)}


def _fill(database: sqlite3.Connection) -> None:
    for trigger in tables.SQLITE_TRIGGERS:
        database.execute(trigger)
    database.executemany(
        "INSERT INTO console_secret (name, value) VALUES (:name, :value)", map(_new_key, KEYS)
    )


def _open_server(options: StoreOptions) -> Database:
    """The tables in the database of the catalogue, which comes first: it accepts no database that
    has tables of another program."""
    catalogue = open_database(options, create=True)
    database = Database(catalogue.engine, catalogue.place, _WHAT)
    is_older = False
    try:
        with database.writing(numbers=True) as connection:
            found = inspect(connection)
            if not found.has_table(tables.audit.name):
                tables.metadata.create_all(connection)
                for statement in tables.POSTGRES_TRIGGERS:
                    connection.execute(text(statement))
                connection.execute(insert(tables.secret), list(map(_new_key, KEYS)))
            elif not all(
                found.has_table(table.name)
                for table in (
                    tables.audit_key,
                    tables.foreign_name,
                    tables.token,
                    tables.triage,
                    tables.shared_filter,
                    tables.triage_untold,
                )
            ):
                _upgrade(connection)
                is_older = True
        if is_older:
            vacuum(database.engine, [tables.audit], _WHAT)
    except BaseException:
        database.close()
        raise
    return database


def account_counts(options: StoreOptions, timeout: float) -> Mapping[str, int]:
    """How many accounts there are of each role; a console that was never opened has none. A server
    has `timeout` s to answer. Raises `ConfigError` and `NetwatchError`."""
    if options.catalogue or "://" in options.path:
        database = open_unchanged(options, timeout)
    else:
        found = _file(Path(options.path))
        if found is None:
            return {}
        database = found
    role = tables.account.c.role
    try:
        with database.reading(timeout) as connection:
            if not inspect(connection).has_table(tables.account.name):
                return {}
            rows = connection.execute(select(role, func.count()).group_by(role)).all()
    finally:
        database.close()
    return {name: int(number) for name, number in rows}


def _file(folder: Path) -> Database | None:
    path = folder / FILE
    try:
        condition = owned_database.identify(path, KIND)
    except OtherVersionError as error:
        if error.version > KIND.version:
            raise
        condition = "own"  # The table of accounts is the same in all versions.
    if condition == "damaged":
        raise NetwatchError(f"{path}: is damaged")
    return None if condition == "missing" else Database(file_engine(path), str(path))


@dataclass(frozen=True, slots=True)
class ErasedFromConsole:
    """How many saved filters and stated purposes were erased, of how many incidents the triage was,
    and how many rows of the audit nobody can open any more. `left` are sentences on what could not
    be erased now."""

    filters: int = 0
    purposes: int = 0
    triage: int = 0
    audit: int = 0
    left: tuple[str, ...] = ()


def erase_from_console(
    options: StoreOptions, person: "Person", user: str, incidents: Collection[str] = ()
) -> ErasedFromConsole:
    """Erase a person, whose `incidents` have these ids; `user` is who asked, for the audit. Raises
    `NetwatchError`."""
    if not has_console(options):
        return ErasedFromConsole()
    database = open_console(options)
    try:
        with database.writing() as connection:
            filters = _erase_filters(connection, person)
            purposes = connection.execute(delete(tables.purpose)).rowcount
            purposes += _erase_tokens(connection, person)
            _erase_sign_ins(connection, person)
            triage = erase_triage(connection, incidents, person)
        rows = Audit(database).erase(lambda value: person.is_mentioned(value, *ALWAYS), user)
        named = [
            tables.saved_filter, tables.shared_filter, tables.purpose, tables.pending,
            tables.audit_key, tables.token, tables.triage, tables.triage_change,
        ]  # fmt: skip
        problem = vacuum(database.engine, named, "the database of the console")
    finally:
        database.close()
    return ErasedFromConsole(filters, purposes, triage, rows, (problem,) if problem else ())


def _erase_filters(connection: "Connection", person: "Person") -> int:
    """Erase the filters, saved and shared, whose name or values mention a person: how many."""
    number = 0
    for table in (tables.saved_filter, tables.shared_filter):
        for row in connection.execute(select(table)).all():
            values = [row.name, *(value for _, value in parse_qsl(row.query))]
            if person.is_mentioned(values, *ALWAYS):
                key = (column == row._mapping[column.name] for column in table.primary_key)
                number += connection.execute(delete(table).where(*key)).rowcount
    return number


def _erase_tokens(connection: "Connection", person: "Person") -> int:
    """Erase the tokens whose name or purpose mentions a person, which are void then: how many."""
    column = tables.token.c
    found = connection.execute(select(column.name, column.purpose)).all()
    names = [row.name for row in found if person.is_mentioned([*row], *ALWAYS)]
    for name in names:
        connection.execute(delete(tables.token).where(column.name == name))
    return len(names)


def _erase_sign_ins(connection: "Connection", person: "Person") -> None:
    """Erase sign-ins under way that lead to a page about a person."""
    column = tables.pending.c
    for row in connection.execute(select(column.token, column.detail)).all():
        if person.is_mentioned([row.detail, unquote(row.detail)], *ALWAYS):
            connection.execute(delete(tables.pending).where(column.token == row.token))


def with_audit(report: Report, store: StoreOptions) -> Report:
    """A report with the head of the audit that the console of its store has. Raises
    `NetwatchError` where there is one that cannot be read."""
    return replace(report, audit=read_head(store)) if has_console(store) else report


def read_head(store: StoreOptions) -> AuditHead | None:
    """The head of the audit of a store that has a console."""
    database = open_console(store)
    try:
        return Audit(database).head()
    finally:
        database.close()


def log_writer(environment: Mapping[str, str], say: Callable[[str], None]) -> Callable[[str], None]:
    """What writes a line to the log of the system. A service of systemd has the journal as its
    standard error (``JOURNAL_STREAM``, systemd.exec(5)), where `say` writes; others have
    syslog(3), and `say` as well."""

    def write(line: str) -> None:
        if "JOURNAL_STREAM" not in environment:
            syslog.openlog("netwatch", syslog.LOG_PID, syslog.LOG_DAEMON)
            syslog.syslog(syslog.LOG_NOTICE, line)
        say(line)

    return write


class HeadLog:
    """Writes the head of an audit by `write` at the begin, whenever it has changed, and at the end;
    a context, which does that in a thread. `report` is told what went wrong."""

    def __init__(
        self,
        audit: Audit,
        write: Callable[[str], None],
        report: Callable[[str], None],
        interval: float = INTERVAL,
    ) -> None:
        self._audit = audit
        self._write = write
        self._report = report
        self._interval = interval
        self._known: AuditHead | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit head", daemon=True)

    def __enter__(self) -> "HeadLog":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self.note()

    def note(self) -> None:
        """Write the head, unless it is the one that was written last."""
        try:
            head = self._audit.head()
        except NetwatchError as error:
            self._report(str(error))
            return
        if head is not None and head != self._known:
            self._known = head
            self._write(f"audit: row {head.rows} has the hash {head.hash}")

    def _run(self) -> None:
        while True:
            self.note()
            if self._end.wait(self._interval):
                return
