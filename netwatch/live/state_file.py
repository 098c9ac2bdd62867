"""Incidents that are open, on disk, so that a restart does not tell them again as new.

One small SQLite file that one process holds. It is a help and no more: where it cannot be
read it is set aside and told, where it cannot be written that is counted and told, and
the capture goes on.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.live.open_incidents import Open
from netwatch.live.state_format import StateError, decode, encode

VERSION = 1
"""The version of the file's form."""

_TABLE = "CREATE TABLE incident (number INTEGER PRIMARY KEY, held TEXT NOT NULL)"


class Store:
    """The state in the file `path`; `tell` takes sentences on what went wrong.

    `failures` counts what could not be written. Raises `NetwatchError` where another
    process holds the file, or it cannot be made.
    """

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        self._path = path
        self._tell = tell
        self.failures = 0
        self._failing = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._data = self._opened()
        except StateError as error:
            aside = self._set_aside()
            tell(f"state {path}: {error}; it is kept as {aside}, and a new one begins")
            self._data = self._opened()
        except OSError as error:
            raise NetwatchError(f"state {path}: cannot be written: {error.strerror}") from None

    def _opened(self) -> sqlite3.Connection:
        """The file, made where there is none, and locked."""
        data = None
        try:
            data = sqlite3.connect(self._path, isolation_level=None, timeout=1)
            data.execute("PRAGMA locking_mode=EXCLUSIVE")
            data.execute("PRAGMA journal_mode=WAL")
            data.execute("PRAGMA synchronous=NORMAL")
            data.execute("BEGIN EXCLUSIVE")
            (version,) = data.execute("PRAGMA user_version").fetchone()
            if version == 0:
                data.execute(_TABLE)
                data.execute(f"PRAGMA user_version={VERSION}")
            data.execute("COMMIT")
            if version not in (0, VERSION):
                raise StateError(f"is of version {version}, {VERSION} is expected")
            (sound,) = data.execute("PRAGMA quick_check(1)").fetchone()
            if sound != "ok":
                raise StateError(f"is damaged ({sound})")
            data.execute("SELECT number, held FROM incident LIMIT 1").fetchone()
        except (sqlite3.Error, StateError) as error:
            if data is not None:
                data.close()
            if isinstance(error, StateError):
                raise
            if "locked" in str(error):
                told = "is used by another netwatch; one state is for one process"
                raise NetwatchError(f"state {self._path}: {told}") from None
            if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
                raise NetwatchError(f"state {self._path}: cannot be written: {error}") from None
            raise StateError(f"cannot be read ({error})") from None
        return data

    def _set_aside(self) -> Path:
        number = 1
        while (aside := self._path.with_name(f"{self._path.name}.damaged-{number}")).exists():
            number += 1
        self._path.replace(aside)
        for ending in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + ending).unlink()
        return aside

    def load(self, gap: int) -> list[Open]:
        """The incidents that were open when the file was last written; `gap` is the quiet gap
        in ns. One that does not read back is told and left out."""
        found = []
        try:
            for number, held in self._data.execute("SELECT * FROM incident ORDER BY number"):
                try:
                    found.append(decode(number, held, gap))
                except StateError as error:
                    self._tell(f"state {self._path}: {error}")
        except sqlite3.Error as error:
            self._tell(f"state {self._path}: cannot be read to its end ({error})")
        return found

    def save(self, changed: Iterable[Open], over: Iterable[int]) -> bool:
        """Write incidents that changed and drop those that are over, all or nothing; whether
        it was written."""
        rows = [(entry.number, encode(entry)) for entry in changed]
        try:
            self._data.execute("BEGIN")
            try:
                gone = [(number,) for number in over]
                self._data.executemany("DELETE FROM incident WHERE number=?", gone)
                self._data.executemany("INSERT OR REPLACE INTO incident VALUES (?, ?)", rows)
                self._data.execute("COMMIT")
            except sqlite3.Error:
                with contextlib.suppress(sqlite3.Error):
                    self._data.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            self.failures += 1
            if not self._failing:
                self._tell(f"state {self._path}: cannot be written ({error})")
            self._failing = True
            return False
        if self._failing:
            self._tell(f"state {self._path}: written again")
        self._failing = False
        return True

    def close(self) -> None:
        """Give the file back."""
        self._data.close()
