"""The state file: the open incidents on disk, so that a restart does not report them again, and how
far logs were read for them.

It is one small SQLite database that a single process locks, see `netwatch.core.owned_database`. The
capture works without it: if it is damaged it is renamed and a new one gets its readable content, if
it cannot be written the failure is counted, and both are reported as a warning. The incidents of a
person are erased from it while no capture runs: a running one has the file locked and its incidents
in memory.

It is kept up to date with the open incidents, and with how far logs were read. If logs are read, a
record counts as read when its results are saved: both are written in one transaction. So a killed
run is continued with the first record that the saved incidents do not include, and none is counted
twice.
"""

import contextlib
import errno
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from netwatch.core import owned_database, sqlite_pages
from netwatch.core.errors import NetwatchError
from netwatch.core.limited_dict import LimitedDict
from netwatch.core.owned_database import (
    FileKind,
    OtherVersionError,
    is_busy,
    is_damage,
    transaction,
)
from netwatch.core.text import quantity
from netwatch.live.open_incident import OpenIncident, StateError, decode, encode
from netwatch.live.open_incidents import OpenIncidents

KIND = FileKind(
    "state file",
    0x4E577374,  # "NWst"
    9,
    "CREATE TABLE incident (number INTEGER PRIMARY KEY, state TEXT NOT NULL);"
    "CREATE TABLE position (log TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID",
)
"""How to recognise the file, and its tables. The version must be raised whenever the text written
by `netwatch.live.open_incident.encode` gets other names."""

STATE_FILE_NAME = "live.sqlite"
"""The state file in the folder that systemd gives a unit (``STATE_DIRECTORY``)."""

_LOCK_TIMEOUT = 1.0
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)

_ERASING_TIMEOUT = 5.0

SAVE_LIMIT = 1000
"""Changed incidents to save at a time, in addition to those just reported. If logs are read, all
are."""

EVICTED_LIMIT = 100_000
"""Evicted incidents that wait until the state of logs is saved next."""


def state_path(given: str | None) -> Path | None:
    """The path from ``--state``; otherwise a file in the folder that systemd gives the unit."""
    if given:
        return Path(given)
    folder = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(folder, STATE_FILE_NAME) if folder else None


class StateFile:
    """The open incidents in the file `path`; `warn` takes sentences about problems.

    `failures` counts how often the file could not be written, `replacements` how often a damaged
    file was replaced by a new one. Raises `ForeignFileError` for a file that does not belong to
    netwatch, and `NetwatchError` if another process uses the file, or if it cannot be created,
    except for temporary errors such as a full disk.
    """

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn
        self.failures = 0
        self.replacements = 0
        self._failing = False
        self._database: sqlite3.Connection | None = None
        try:
            self._database = self._open()
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            if not _may_pass(error):
                raise NetwatchError(f"{self}: cannot be written: {reason}") from None
            self._failed(str(reason))

    def __str__(self) -> str:
        return f"state file {self._path}"

    def _open(self) -> sqlite3.Connection:
        """Open and lock the file, which is created if it does not exist, and replaced if it is
        damaged. Raises `OSError`, `sqlite3.Error` and `NetwatchError`."""
        try:
            condition = owned_database.identify(self._path, KIND)
        except OtherVersionError as error:
            renamed = owned_database.set_aside(self._path)
            self._warn(f"{error}; renamed to {renamed}, and a new one was begun")
            condition = "missing"
        if condition == "damaged":
            return self._replace("its first page is damaged")
        if condition == "missing":
            owned_database.create(self._path, KIND)
        try:
            return self._connect()
        except (sqlite3.Error, NetwatchError) as error:
            if not is_damage(error):
                raise
            return self._replace(str(error))

    def _connect(self) -> sqlite3.Connection:
        """Connect to the file, lock it and verify it."""
        database = owned_database.connect(self._path, _LOCK_TIMEOUT)
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            # What is read from a damaged file must not contain ended incidents.
            database.execute("PRAGMA secure_delete = ON")
            with transaction(database):
                owned_database.quick_check(database)
                database.execute("SELECT number, state FROM incident LIMIT 1").fetchone()
                database.execute("SELECT log, state FROM position LIMIT 1").fetchone()
        except sqlite3.Error as error:
            database.close()
            if is_busy(error):
                reason = "is in use by another netwatch process; each needs a file of its own"
                raise NetwatchError(f"{self}: {reason}") from None
            raise
        except BaseException:
            database.close()
            raise
        return database

    def _replace(self, reason: str) -> sqlite3.Connection:
        """Rename the damaged file, so that nothing is lost, and begin a new one with its readable
        content."""
        renamed = owned_database.set_aside(self._path)
        rows: dict[int, str] = {}
        with sqlite_pages.Pages(renamed) as pages:
            for number, values in sqlite_pages.rows(pages):
                match values:
                    case (None, str(state)):
                        rows[number] = state

        def fill(database: sqlite3.Connection) -> None:
            database.executemany("INSERT INTO incident VALUES (?, ?)", rows.items())

        owned_database.create(self._path, KIND, fill)
        self.replacements += 1
        self._warn(
            f"{self}: damaged ({reason}); renamed to {renamed}, and a new one was begun with"
            f" {quantity(len(rows), 'incident')} of it"
        )
        return self._connect()

    def load(self, quiet_gap: int) -> list[OpenIncident]:
        """The saved incidents; `quiet_gap` is in ns. An unreadable one is left out with a
        warning."""
        incidents: list[OpenIncident] = []
        if self._database is None:
            return incidents
        try:
            for number, state in self._database.execute(
                "SELECT number, state FROM incident ORDER BY number"
            ):
                try:
                    incidents.append(decode(number, state, quiet_gap))
                except StateError as error:
                    self._warn(f"{self}: {error}")
        except sqlite3.Error as error:
            self._warn(f"{self}: could only be read in part ({error})")
        return incidents

    def load_positions(self) -> dict[str, str]:
        """How far logs were read, by their keys."""
        if self._database is None:
            return {}
        try:
            return dict(self._database.execute("SELECT log, state FROM position"))
        except sqlite3.Error as error:
            self._warn(f"{self}: could only be read in part ({error})")
            return {}

    def save(
        self,
        changed: Iterable[OpenIncident],
        numbers_to_delete: Iterable[int],
        positions: Mapping[str, str | None] | None = None,
        earlier: Mapping[int, str] | None = None,
    ) -> bool:
        """Write changed incidents and how far logs were read (None removes a log), and delete ended
        incidents, in one transaction; False if that failed. `earlier` are incidents in encoded
        form that were evicted before the others changed or ended."""
        rows = [(entry.number, encode(entry)) for entry in changed]
        ended = [(number,) for number in numbers_to_delete]
        read = positions or {}
        gone = [(log,) for log, state in read.items() if state is None]
        known = [(log, state) for log, state in read.items() if state is not None]
        try:
            if self._database is None:
                self._database = self._open()
            with transaction(self._database):
                insert = "INSERT OR REPLACE INTO incident VALUES (?, ?)"
                self._database.executemany(insert, (earlier or {}).items())
                self._database.executemany("DELETE FROM incident WHERE number=?", ended)
                self._database.executemany(insert, rows)
                self._database.executemany("DELETE FROM position WHERE log=?", gone)
                self._database.executemany("INSERT OR REPLACE INTO position VALUES (?, ?)", known)
        except (sqlite3.Error, OSError, NetwatchError) as error:
            if is_damage(error):
                # The next call opens it, which finds the damage, and replaces it.
                self.close()
            self._failed(str(error))
            return False
        if self._failing:
            self._warn(f"{self}: writing works again")
        self._failing = False
        return True

    def _failed(self, reason: str) -> None:
        self.failures += 1
        if not self._failing:
            self._warn(f"{self}: cannot be written ({reason}); it is tried again")
        self._failing = True

    def close(self) -> None:
        """Close and unlock the file."""
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None


def _may_pass(error: OSError | sqlite3.Error) -> bool:
    """Whether the disk is full or fails, which no user has to correct before a capture."""
    if isinstance(error, OSError):
        return error.errno in _DISK_ERRORS
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def erase_open_incidents(path: Path, mentions: Callable[[Any], bool]) -> int:
    """Erase the incidents whose text mentions a person; returns how many. Nothing happens if there
    is no state file. Raises `NetwatchError` if a capture is using it, and for another file."""
    condition = owned_database.identify(path, KIND)
    if condition == "missing":
        return 0
    if condition == "damaged":
        raise NetwatchError(f"{path}: the state file is damaged; delete it")
    try:
        with closing(owned_database.connect(path, _ERASING_TIMEOUT)) as database:
            database.execute("PRAGMA secure_delete = ON")
            with transaction(database):
                hers = [
                    (number,)
                    for number, text in database.execute("SELECT number, state FROM incident")
                    if mentions(_readable(json.loads(text)))
                ]
                database.executemany("DELETE FROM incident WHERE number = ?", hers)
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        if owned_database.is_busy(error):
            raise NetwatchError(
                f"the state file {path} is in use: stop the live capture, erase again, and start it"
            ) from None
        raise NetwatchError(f"the state file {path}: {error}") from None
    except ValueError as error:
        raise NetwatchError(f"{path}: the state file cannot be read: {error}") from None
    return len(hers)


def _readable(state: Any) -> Any:
    """The state of an incident with packed addresses, which are in hexadecimal digits, as text."""
    from netwatch.core.addresses import ip_text, mac_text

    found = [state]
    for contact in state["contacts"]:
        observation = contact["observation"]
        for name in ("client_ip", "server_ip"):
            packed = bytes.fromhex(observation.get(name) or "")
            if len(packed) in (4, 16):
                found.append(ip_text(packed))
        if observation.get("client_mac"):
            found.append(mac_text(bytes.fromhex(observation["client_mac"])))
    return found


class StateSaver:
    """Saves `incidents` to `state_file`; does nothing if that is None. With `of_logs` they are
    saved together with how far logs were read, which `note` takes."""

    def __init__(
        self, state_file: StateFile | None, incidents: OpenIncidents, *, of_logs: bool = False
    ) -> None:
        self._state_file = state_file
        self._incidents = incidents
        self._of_logs = of_logs
        self._positions: dict[str, str | None] = {}
        self._saved_positions: dict[str, str] = {}
        self._evicted: LimitedDict[int, str] = LimitedDict(EVICTED_LIMIT)
        incidents.save = self._save_evicted
        self._replacements = state_file.replacements if state_file is not None else 0

    @property
    def failures(self) -> int:
        """How often the state file could not be written."""
        return self._state_file.failures if self._state_file is not None else 0

    @property
    def has_file(self) -> bool:
        """Whether there is a state file at all."""
        return self._state_file is not None

    def restore(self, quiet_gap: int) -> int:
        """Continue the incidents that an earlier run left open; returns their number. `quiet_gap`
        is in ns."""
        if self._state_file is None:
            return 0
        saved = self._state_file.load(quiet_gap)
        rejected = [entry.number for entry in saved if not self._incidents.restore(entry)]
        self._state_file.save((), rejected)
        return len(saved) - len(rejected)

    def positions(self) -> Mapping[str, str]:
        """How far logs were read by the earlier run."""
        if self._state_file is not None:
            self._saved_positions = self._state_file.load_positions()
        return dict(self._saved_positions)

    def note(self, positions: Mapping[str, str | None]) -> None:
        """Note how far logs were read for the present content of the incidents."""
        self._positions.update(positions)

    def save(self, limit: int = SAVE_LIMIT) -> None:
        """Save what has changed: every incident that was reported since the last call, and
        at most `limit` others."""
        if self._state_file is None:
            return
        ended = self._incidents.take_numbers_to_delete()
        changed = self._incidents.changed(len(self._incidents) if self._of_logs else limit)
        if not (ended or changed or self._positions or self._evicted):
            return
        if self._state_file.save(changed, ended, self._positions, self._evicted):
            for entry in changed:
                entry.mark_saved()
            self._evicted.clear()
            self._take_saved_positions()
        else:
            self._incidents.put_back_numbers_to_delete(ended)
        if self._state_file.replacements != self._replacements:
            # A new file may lack incidents that the damaged one had.
            self._replacements = self._state_file.replacements
            self._positions = {**self._saved_positions, **self._positions}
            for entry in self._incidents:
                entry.is_changed = True

    def _take_saved_positions(self) -> None:
        for log, state in self._positions.items():
            if state is None:
                self._saved_positions.pop(log, None)
            else:
                self._saved_positions[log] = state
        self._positions = {}

    def _save_evicted(self, entries: list[OpenIncident]) -> None:
        """Save incidents before they leave memory, where `save` would not find them. Those from
        logs wait for the others: they have records that are not known to be read yet."""
        if self._state_file is None:
            return
        if self._of_logs:
            self._evicted.update((entry.number, encode(entry)) for entry in entries)
        elif not self._state_file.save(entries, ()):
            return
        for entry in entries:
            entry.mark_saved()
