"""Takes the head of the audit to where the user of the service cannot change it.

Whoever has become this user can make the whole audit anew. What the service wrote to the log of
the system before, and what a report says that somebody else has, stays: `netwatch audit verify
--head HASH` compares the audit with it.
"""

import syslog
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from netwatch.console.audit import Audit
from netwatch.console.database import has_console, open_console
from netwatch.core.errors import NetwatchError
from netwatch.report.values import AuditHead, Report
from netwatch.store.options import StoreOptions

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
