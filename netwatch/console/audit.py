"""The audit: who looked at whom and why, what was exported, who signed in, who changed accounts.

Each row has a number without gaps and the SHA-256 over the hash of the row before it and its own
content as canonical JSON (sorted keys, no spaces, UTF-8). So a row that was changed, removed or
put in between breaks the chain. Whoever can write to the database can cut rows off at the end, or
make the whole chain anew; only a hash that was noted elsewhere shows that. So the head, the number
and hash of the last row, is in every report and in the log of the system
(`netwatch.console.heads`). Triggers of the database refuse changes; the chain finds those made
around them.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, insert, select

from netwatch.console import tables
from netwatch.console.storable import storable
from netwatch.report.values import AuditHead
from netwatch.store.database import Database

GENESIS = "0" * 64
"""What the first row has as the hash before it."""

MAX_TEXT = 500
"""Characters of a text in a row; the rest of a longer one is left out."""

_BATCH = 1000
_COLUMNS = ("number", "time", "account", "role", "action", "subject", "purpose", "detail",
            "address")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the audit; `time` is in ns, `detail` is JSON."""

    number: int
    time: int
    account: str
    role: str
    action: str
    subject: str
    purpose: str
    detail: str
    address: str
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of the chain found: how many rows are sound, the hash of the last of them, and
    what is wrong, empty if nothing is."""

    rows: int
    head: str
    problem: str = ""


class Audit:
    """Writes and reads the audit. Several processes may write at once: the database lets one at a
    time add its row."""

    def __init__(self, database: Database, now: Callable[[], int] = time.time_ns) -> None:
        self._database = database
        self._now = now

    def add(
        self,
        action: str,
        *,
        account: str,
        role: str = "",
        subject: str = "",
        purpose: str = "",
        address: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> str:
        """Add a row; its hash. Raises `NetwatchError` where it cannot be written."""
        row = tables.audit.c
        with self._database.writing(numbers=True) as connection:
            last = connection.execute(
                select(row.number, row.hash).order_by(row.number.desc()).limit(1)
            ).first()
            values: dict[str, Any] = {
                "number": last.number + 1 if last else 1,
                "time": self._now(),
                "account": _short(account),
                "role": role,
                "action": action,
                "subject": _short(subject),
                "purpose": _short(purpose),
                "detail": _canonical(detail or {}),
                "address": _short(address),
            }
            previous = last.hash if last else GENESIS
            values |= {"previous": previous, "hash": row_hash(previous, values)}
            connection.execute(insert(tables.audit).values(values))
        return str(values["hash"])

    def head(self) -> AuditHead | None:
        """The number and the hash of the last row; None before the first."""
        row = tables.audit.c
        with self._database.reading() as connection:
            last = connection.execute(
                select(row.number, row.hash).order_by(row.number.desc()).limit(1)
            ).first()
        return AuditHead(last.number, last.hash) if last else None

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The rows behind the number `after`, in their order."""
        row = tables.audit.c
        while True:
            with self._database.reading() as connection:
                found = (
                    connection.execute(
                        select(tables.audit)
                        .where(row.number > after)
                        .order_by(row.number)
                        .limit(_BATCH)
                    )
                    .mappings()
                    .all()
                )
            yield from map(_entry, found)
            if len(found) < _BATCH:
                return
            after = found[-1]["number"]

    def newest(
        self,
        limit: int,
        before: int | None = None,
        *,
        account: str = "",
        action: str = "",
        subject: str = "",
        start: int | None = None,
        end: int | None = None,
    ) -> list[Entry]:
        """The last rows, the newest first: of those with a number below `before`, of an `account`,
        an `action`, and a subject that begins with `subject`, where they are given, from `start` up
        to `end`."""
        row = tables.audit.c
        statement = select(tables.audit).order_by(row.number.desc()).limit(limit)
        if before is not None:
            statement = statement.where(row.number < before)
        for column, wanted in ((row.account, account), (row.action, action)):
            if wanted:
                statement = statement.where(column == wanted)
        if subject:
            statement = statement.where(row.subject.startswith(subject, autoescape=True))
        if start is not None:
            statement = statement.where(row.time >= start)
        if end is not None:
            statement = statement.where(row.time < end)
        with self._database.reading() as connection:
            return [_entry(each) for each in connection.execute(statement).mappings().all()]

    def verify(self, head: str = "") -> Checked:
        """Compare every row with its hash and with the row before it. With `head`, a hash that was
        noted earlier, the row that had it must still be there."""
        previous, count, is_noted = GENESIS, 0, head in ("", GENESIS)
        for entry in self.entries():
            problem = _problem(entry, count + 1, previous)
            if problem:
                return Checked(count, previous, problem)
            previous, count = entry.hash, count + 1
            is_noted = is_noted or previous == head
        if not is_noted:
            return Checked(
                count, previous, f"no row has the hash {head}: rows are missing after row {count}"
            )
        return Checked(count, previous)


def row_hash(previous: str, values: Mapping[str, Any]) -> str:
    """The hash of a row with these values behind the row with the hash `previous`."""
    content = _canonical({name: values[name] for name in _COLUMNS})
    return hashlib.sha256(previous.encode() + b"\n" + content.encode()).hexdigest()


def entry_record(entry: Entry) -> dict[str, Any]:
    """A row for programs: what the hash is made from, and the hashes."""
    return {name: getattr(entry, name) for name in (*_COLUMNS, "previous", "hash")}


def _problem(entry: Entry, number: int, previous: str) -> str:
    if entry.number != number:
        return f"row {number} is missing: row {entry.number} follows row {number - 1}"
    if entry.previous != previous:
        return f"row {number} does not follow the row before it: one of the two was replaced"
    if entry.hash != row_hash(previous, entry_record(entry)):
        return f"row {number} was changed: its content does not have its hash"
    return ""


def _entry(row: RowMapping) -> Entry:
    return Entry(**row)


def _canonical(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _short(text: str) -> str:
    """A text that every database takes, not longer than that."""
    safe = storable(text)
    return safe if len(safe) <= MAX_TEXT else f"{safe[: MAX_TEXT - 1]}…"
