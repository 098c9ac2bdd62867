"""The audit: who looked at whom and why, what was exported, who signed in, who changed accounts.

Each row has a number without gaps and the SHA-256 over the hash of the row before it and its own
content as canonical JSON (sorted keys, no spaces, UTF-8). So a row that was changed, removed or
put in between breaks the chain. Anyone who can write to the database can cut rows off at the end,
or make the whole chain again; only a hash that was noted elsewhere shows that. So the head, the
number and hash of the last row, is in every report and in the log of the system
(`netwatch.console.database`). Triggers of the database refuse changes; the chain finds those made
around them. Keys that are left without their rows show that rows were cut off, too: the row that is
added next says which (the action `cut-off`), since it takes the number of one of them.

What a row says of people is not in the table as it is, since rows stay for ever and people can be
erased. `netwatch.console.tables` puts a pseudonym in place of the subject, and encrypts it
with purpose and detail by a key of the row. The hash is over what was sealed and a salt, so that it
can be verified as long as the key is there and tells nothing afterwards. A row without its key
still says who did what and when. It is sound if a later row says that it was erased.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, func, insert, select

from netwatch.console import tables
from netwatch.console.accounts import ForeignNames
from netwatch.console.tables import EMPTY, AuditSealing, Content
from netwatch.core.text import storable
from netwatch.report.values import AuditHead
from netwatch.store.database import Database
from netwatch.store.statements import among, chunks

GENESIS = "0" * 64
"""What the first row has as the hash before it."""

MAX_TEXT = 500
"""Characters of a text in a row; the rest of a longer one is left out."""

CUT_OFF = "cut-off"
"""The action of a row that says which rows were missing when the next one was to be added."""

_BATCH = 1000
_NONE: Mapping[str, tuple[str, ...]] = MappingProxyType({})
_COLUMNS = ("number", "time", "account", "role", "action", "subject", "purpose", "detail",
            "address")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the audit; `time` is in ns, `detail` is JSON. Of one that `is_erased` the subject
    is a pseudonym, and purpose and detail are gone. `salt` is what its hash is over besides."""

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
    salt: str = ""
    is_erased: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of the chain found: how many rows are sound, the hash of the last of them, and
    what is wrong, empty if nothing is."""

    rows: int
    head: str
    problem: str = ""


class Audit:
    """Writes and reads the audit. Several processes may write at once: the database lets one at a
    time add its row. `names` has what the accounts in it were called."""

    def __init__(self, database: Database, now: Callable[[], int] = time.time_ns) -> None:
        self.names = ForeignNames(database, now)
        # A change and its row are written `together`.
        self.together = database.together
        self._database = database
        self._sealing = AuditSealing(database)
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
        """Add a row; its hash. Raises `NetwatchError` if it cannot be written."""
        row = tables.audit.c
        with self._database.writing(numbers=True) as connection:
            last = connection.execute(
                select(row.number, row.hash).order_by(row.number.desc()).limit(1)
            ).first()
            number, head = (last.number, last.hash) if last else (0, GENESIS)
            said = {
                "account": _short(account),
                "role": role,
                "action": action,
                "subject": _short(subject),
                "purpose": _short(purpose),
                "detail": _canonical(detail or {}),
                "address": _short(address),
            }
            if cut_off := _rowless_keys(connection, number):
                detail = {"rows": _ranges(cut_off)}
                nobody = dict.fromkeys(("account", "role", "subject", "purpose", "address"), "")
                note = {**nobody, "action": CUT_OFF, "detail": _canonical(detail)}
                for part in chunks(cut_off):
                    which = tables.audit_key.c.number.in_(part)
                    connection.execute(delete(tables.audit_key).where(which))
                number, head = number + 1, self._insert(connection, number + 1, head, note)
            return self._insert(connection, number + 1, head, said)

    def _insert(
        self, connection: Connection, number: int, previous: str, said: Mapping[str, str]
    ) -> str:
        """Add a row and its key; its hash."""
        values: dict[str, Any] = {"number": number, "time": self._now(), **said}
        salt = secrets.token_hex(16)
        values["hash"] = row_hash(previous, {**values, "salt": salt})
        content = Content(values["subject"], values["purpose"], values["detail"], salt)
        key, stored = self._sealing.seal(number, content)
        connection.execute(insert(tables.audit).values({**values, **stored, "previous": previous}))
        connection.execute(insert(tables.audit_key).values(number=number, key=key))
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
                        _rows().where(row.number > after).order_by(row.number).limit(_BATCH)
                    )
                    .mappings()
                    .all()
                )
            yield from map(self._entry, found)
            if len(found) < _BATCH:
                return
            after = found[-1]["number"]

    def newest(
        self,
        limit: int,
        before: int | None = None,
        *,
        accounts: Collection[str] = (),
        action: str = "",
        subject: str | tuple[str, ...] = "",
        start: int | None = None,
        end: int | None = None,
    ) -> list[Entry]:
        """The last rows, the newest first: of those with a number below `before`, of some
        `accounts`, an `action`, and a subject that begins with `subject` (with one of several),
        where they are given, from `start` up to `end`."""
        found = list[Entry]()
        subjects = self._subjects(subject) if subject else None
        while len(found) < limit:
            size = _BATCH if subject else limit
            rows = self._newest(size, before, accounts, action, subjects, start, end)
            entries = map(self._entry, rows)
            found += [entry for entry in entries if not subject or self._is_about(entry, subject)]
            if len(rows) < size:
                break
            before = rows[-1]["number"]
        return found[:limit]

    def _newest(
        self,
        limit: int,
        before: int | None,
        accounts: Collection[str],
        action: str,
        subjects: Collection[str] | None,
        start: int | None,
        end: int | None,
    ) -> Sequence[RowMapping]:
        row = tables.audit.c
        statement = _rows().order_by(row.number.desc()).limit(limit)
        if before is not None:
            statement = statement.where(row.number < before)
        if accounts:
            statement = statement.where(row.account.in_(accounts))
        if action:
            statement = statement.where(row.action == action)
        if subjects is not None:
            statement = statement.where(among(self._database.engine, row.subject, subjects))
        if start is not None:
            statement = statement.where(row.time >= start)
        if end is not None:
            statement = statement.where(row.time < end)
        with self._database.reading() as connection:
            return connection.execute(statement).mappings().all()

    def _subjects(self, texts: str | tuple[str, ...]) -> list[str]:
        """The stored subjects that may begin with one of these texts. All rows of a subject store
        the same pseudonym, so only the last one is opened; if it was erased or changed, the subject
        is included, as nobody can tell what the other rows are about."""
        row, found = tables.audit.c, list[str]()
        last = select(func.max(row.number)).where(row.subject != "").group_by(row.subject)
        with self._database.reading() as connection:
            numbers = connection.execute(last).scalars().all()
            for part in chunks(numbers, _BATCH):
                rows = _rows().where(among(connection, row.number, part))
                for each in connection.execute(rows).mappings():
                    subject = self._entry(each).subject
                    if subject == each["subject"] or subject.startswith(texts):
                        found.append(each["subject"])
        return found

    def _is_about(self, entry: Entry, subject: str | tuple[str, ...]) -> bool:
        """Whether the subject of a row begins with a text, or one of several; of one that is
        erased, whether it is that or has that pseudonym."""
        texts = (subject,) if isinstance(subject, str) else subject
        return entry.subject.startswith(texts) or (
            entry.is_erased and entry.subject in map(self._sealing.pseudonym, texts)
        )

    def _entry(self, row: RowMapping) -> Entry:
        values = {name: row[name] for name in (*_COLUMNS, "previous", "hash")}
        if row["key"] is None:
            return Entry(**values | {"purpose": ""}, is_erased=True)
        content = self._sealing.open(row["number"], row["key"], row["purpose"])
        # What somebody has changed in the table is shown, and does not have its hash.
        if content is not None and row["detail"] == EMPTY:
            if row["subject"] == self._sealing.pseudonym(content.subject):
                values["subject"] = content.subject
            values |= {"purpose": content.purpose, "detail": content.detail}
            return Entry(**values, salt=content.salt)
        return Entry(**values)

    def erase(self, mentions: Callable[[Any], bool], account: str) -> int:
        """Delete the keys of the rows whose subject, purpose or detail mentions a person; how many
        rows nobody can open any more. A row says which. Raises `NetwatchError`."""
        numbers = [
            entry.number
            for entry in self.entries()
            if not entry.is_erased and mentions([entry.subject, entry.purpose, entry.detail])
        ]
        if numbers:
            self.add("erase", account=account, detail={"rows": _ranges(numbers)})
            with self._database.writing() as connection:
                for part in chunks(numbers):
                    which = tables.audit_key.c.number.in_(part)
                    connection.execute(delete(tables.audit_key).where(which))
        return len(numbers)

    def verify(self, head: str = "") -> Checked:
        """Compare every row with its hash and with the row before it. With `head`, a hash that was
        noted earlier, the row that had it must still be there."""
        previous, count, is_noted = GENESIS, 0, head in ("", GENESIS)
        erased, said = set[int](), set[int]()
        for entry in self.entries():
            problem = _problem(entry, count + 1, previous)
            if problem:
                return Checked(count, previous, problem)
            if entry.is_erased:
                erased.add(entry.number)
            elif entry.action == "erase":
                said.update(_numbers(entry.detail))
            elif entry.action == CUT_OFF:
                return Checked(count, previous, _cut_off([*_numbers(entry.detail)], count))
            previous, count = entry.hash, count + 1
            is_noted = is_noted or previous == head
        if not is_noted:
            return Checked(
                count, previous, f"no row has the hash {head}: rows are missing after row {count}"
            )
        with self._database.reading() as connection:
            if cut_off := _rowless_keys(connection, count):
                return Checked(count, previous, _cut_off(cut_off, count))
        if unsaid := sorted(erased - said):
            number = unsaid[0]
            problem = f"row {number} cannot be opened, and no row records that it was erased"
            return Checked(number - 1, previous, problem)
        return Checked(count, previous)


def row_hash(previous: str, values: Mapping[str, Any]) -> str:
    """The hash of a row with these values behind the row with the hash `previous`."""
    names = (*_COLUMNS, "salt") if values.get("salt") else _COLUMNS
    content = _canonical({name: values[name] for name in names})
    return hashlib.sha256(previous.encode() + b"\n" + content.encode()).hexdigest()


def entry_record(entry: Entry, names: Mapping[str, tuple[str, ...]] = _NONE) -> dict[str, Any]:
    """A row for programs: what the hash is made from, and the hashes; of an erased one what is
    left, from which its hash does not follow; then the `names` of its account, the newest last,
    where it has some."""
    salt = {"salt": entry.salt} if entry.salt else {}
    erased = {"erased": True} if entry.is_erased else {}
    known = {"account_names": list(names[entry.account])} if entry.account in names else {}
    values = {name: getattr(entry, name) for name in _COLUMNS}
    hashes = {"previous": entry.previous, "hash": entry.hash}
    return {**values, **salt, **erased, **hashes, **known}


def _problem(entry: Entry, number: int, previous: str) -> str:
    if entry.number != number:
        return f"row {number} is missing: row {entry.number} follows row {number - 1}"
    if entry.previous != previous:
        return f"row {number} does not follow the row before it: one of the two was replaced"
    if not entry.is_erased and entry.hash != row_hash(previous, entry_record(entry)):
        return f"row {number} was changed: its content does not have its hash"
    return ""


def _cut_off(numbers: Sequence[int], after: int) -> str:
    what = f"row {numbers[0]}" if len(numbers) == 1 else f"rows {numbers[0]} to {numbers[-1]}"
    return f"rows were cut off after row {after}: there was a key of {what}"


def _rowless_keys(connection: Connection, after: int) -> list[int]:
    """The numbers above `after` of keys whose rows are missing. A row is added with its
    key, and only keys are deleted, so there are none unless somebody deleted rows."""
    row, key = tables.audit.c, tables.audit_key.c
    found = select(key.number).outerjoin(tables.audit, row.number == key.number)
    found = found.where(key.number > after, row.number.is_(None)).order_by(key.number)
    return [*connection.execute(found).scalars()]


def _rows() -> Select[Any]:
    """The rows of the audit, each with its key."""
    row, key = tables.audit, tables.audit_key
    return select(row, key.c.key).outerjoin(key, key.c.number == row.c.number)


def _ranges(numbers: Sequence[int]) -> list[list[int]]:
    """Numbers in their order as pairs of the first and the last of those that follow each other."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def _numbers(detail: str) -> Iterator[int]:
    """The numbers that `_ranges` was given."""
    for first, last in json.loads(detail).get("rows", ()):
        yield from range(first, last + 1)


def _canonical(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _short(text: str) -> str:
    """A text that every database takes, not longer than that."""
    safe = storable(text)
    return safe if len(safe) <= MAX_TEXT else f"{safe[: MAX_TEXT - 1]}…"
