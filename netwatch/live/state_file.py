"""The state file: the open incidents on disk, so that a restart does not report them again.

It is one small SQLite database that a single process locks. The capture works without it:
where it cannot be read it is renamed and a new one is begun, where it cannot be written the
failure is counted, and either is reported as a warning.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.live.open_incident import OpenIncident
from netwatch.live.state_format import StateError, decode, encode

VERSION = 2
"""The version of the file, kept as the database's ``user_version``. It has to be raised
whenever the text that `netwatch.live.state_format.encode` writes gets other names."""

_CREATE_TABLE = "CREATE TABLE incident (number INTEGER PRIMARY KEY, state TEXT NOT NULL)"


class StateFile:
    """The open incidents in the file `path`; `warn` takes sentences about problems.

    `failures` counts how often the file could not be written. Raises `NetwatchError` where
    another process uses the file, or where it cannot be created.
    """

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn
        self.failures = 0
        self._failing = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = self._open()
        except StateError as error:
            renamed = self._set_aside()
            warn(f"state file {path}: {error}; renamed to {renamed}, and a new one was begun")
            self._database = self._open()
        except OSError as error:
            raise NetwatchError(f"state file {path}: cannot be written: {error.strerror}") from None

    def _open(self) -> sqlite3.Connection:
        """Open and lock the file, which is created where it does not exist. Raises
        `StateError` where it cannot be read."""
        database = None
        try:
            database = sqlite3.connect(self._path, isolation_level=None, timeout=1)
            database.execute("PRAGMA locking_mode=EXCLUSIVE")
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
            _check(database)
        except (sqlite3.Error, StateError) as error:
            if database is not None:
                database.close()
            if isinstance(error, StateError):
                raise
            if "locked" in str(error):
                reason = "is in use by another netwatch process; each needs a file of its own"
                raise NetwatchError(f"state file {self._path}: {reason}") from None
            if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
                raise NetwatchError(
                    f"state file {self._path}: cannot be written: {error}"
                ) from None
            raise StateError(f"cannot be read ({error})") from None
        return database

    def _set_aside(self) -> Path:
        """Rename the file, so that nothing is lost; the path that it now has."""
        number = 1
        while (renamed := self._path.with_name(f"{self._path.name}.damaged-{number}")).exists():
            number += 1
        self._path.replace(renamed)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).unlink()
        return renamed

    def load(self, quiet_gap: int) -> list[OpenIncident]:
        """The saved incidents; `quiet_gap` is in ns. One that cannot be read is left out with
        a warning."""
        incidents = []
        try:
            for number, state in self._database.execute(
                "SELECT number, state FROM incident ORDER BY number"
            ):
                try:
                    incidents.append(decode(number, state, quiet_gap))
                except StateError as error:
                    self._warn(f"state file {self._path}: {error}")
        except sqlite3.Error as error:
            self._warn(f"state file {self._path}: could only be read in part ({error})")
        return incidents

    def save(self, changed: Iterable[OpenIncident], numbers_to_delete: Iterable[int]) -> bool:
        """Write changed incidents and delete ended ones in one transaction; False where that
        failed."""
        rows = [(entry.number, encode(entry)) for entry in changed]
        ended = [(number,) for number in numbers_to_delete]
        try:
            self._database.execute("BEGIN")
            try:
                self._database.executemany("DELETE FROM incident WHERE number=?", ended)
                self._database.executemany("INSERT OR REPLACE INTO incident VALUES (?, ?)", rows)
                self._database.execute("COMMIT")
            except sqlite3.Error:
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            self.failures += 1
            if not self._failing:
                self._warn(f"state file {self._path}: cannot be written ({error})")
            self._failing = True
            return False
        if self._failing:
            self._warn(f"state file {self._path}: writing works again")
        self._failing = False
        return True

    def close(self) -> None:
        """Close and unlock the file."""
        self._database.close()


def _check(database: sqlite3.Connection) -> None:
    """Create the table in a new file; raise `StateError` or `sqlite3.Error` where an existing
    file has another version or is damaged."""
    database.execute("BEGIN EXCLUSIVE")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == 0:
        database.execute(_CREATE_TABLE)
        database.execute(f"PRAGMA user_version={VERSION}")
    database.execute("COMMIT")
    if version not in (0, VERSION):
        raise StateError(f"has version {version}, expected {VERSION}")
    (result,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        raise StateError(f"is damaged ({result})")
    database.execute("SELECT number, state FROM incident LIMIT 1").fetchone()
