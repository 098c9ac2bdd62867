"""What the console does with its audit beside writing it: erases a person, and takes its head away.

Where a person is erased, filters that accounts saved and that name her go. So do the purposes that
sessions have stated, which are typed texts, all of them: people are asked again. Rows of the audit
stay, since they say who looked, when, and at what kind of page; of rows that are about her or
mention her, the keys go, so that nobody can read whom they are about and why
(`netwatch.console.audit`). Whom they are about has a pseudonym, by which the rows about a name can
still be found.

The head of the audit goes to where the user of the service cannot change it. Whoever has become
this user can make the whole audit anew. What the service wrote to the log of
the system before, and what a report says that somebody else has, stays: `netwatch audit verify
--head HASH` compares the audit with it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from sqlalchemy import delete, select

from netwatch.console import tables
from netwatch.console.audit import Audit
from netwatch.console.database import has_console, open_console
from netwatch.store.erasing import vacuum
from netwatch.store.options import StoreOptions
from netwatch.store.person import ALWAYS

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from netwatch.store.person import Person
import syslog
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from netwatch.core.errors import NetwatchError
from netwatch.report.values import AuditHead, Report


@dataclass(frozen=True, slots=True)
class ErasedFromConsole:
    """How many saved filters and stated purposes were erased, and how many rows of the audit nobody
    can open any more. `left` are sentences on what could not be erased now."""

    filters: int = 0
    purposes: int = 0
    audit: int = 0
    left: tuple[str, ...] = ()


def erase_from_console(options: StoreOptions, person: "Person", user: str) -> ErasedFromConsole:
    """Erase a person; `user` is who asked, for the audit. Raises `NetwatchError`."""
    if not has_console(options):
        return ErasedFromConsole()
    database = open_console(options)
    try:
        with database.writing() as connection:
            filters = _erase_filters(connection, person)
            purposes = connection.execute(delete(tables.purpose)).rowcount
            _erase_sign_ins(connection, person)
        rows = Audit(database).erase(lambda value: person.is_mentioned(value, *ALWAYS), user)
        named = [tables.saved_filter, tables.purpose, tables.pending, tables.audit_key]
        problem = vacuum(database.engine, named, "the database of the console")
    finally:
        database.close()
    return ErasedFromConsole(filters, purposes, rows, (problem,) if problem else ())


def _erase_filters(connection: "Connection", person: "Person") -> int:
    """Erase the saved filters whose name or values mention a person: how many."""
    columns = tables.saved_filter.c
    found = [
        row
        for row in connection.execute(select(tables.saved_filter)).all()
        if person.is_mentioned([row.name, *_values(row.query)], *ALWAYS)
    ]
    for row in found:
        connection.execute(
            delete(tables.saved_filter).where(
                columns.account == row.account,
                columns.page == row.page,
                columns.name == row.name,
            )
        )
    return len(found)


def _erase_sign_ins(connection: "Connection", person: "Person") -> None:
    """Erase sign-ins under way that lead to a page about a person."""
    column = tables.pending.c
    for row in connection.execute(select(column.token, column.detail)).all():
        if person.is_mentioned([row.detail, unquote(row.detail)], *ALWAYS):
            connection.execute(delete(tables.pending).where(column.token == row.token))


def _values(query: str) -> list[str]:
    """The values of the address of a page, decoded."""
    return [value for _, value in parse_qsl(query)]


INTERVAL = 900.0
"""Seconds after which a head that has changed is written again."""


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
