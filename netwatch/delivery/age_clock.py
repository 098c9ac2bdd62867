"""How long alerts have waited, by a clock that nobody can set.

The wall clock may jump by weeks. So an outbox has a clock of its own, which advances with the
seconds since the boot (CLOCK_BOOTTIME, clock_gettime(2)) while a process has the outbox open, and
between two processes of the same boot. Time without power does not count: what is known of it comes
from the wall clock only. So an age may be too low, but never too high.
"""

import secrets
import sqlite3
from pathlib import Path

from netwatch.core.owned_database import DamagedFileError
from netwatch.core.system.clocks import steady_seconds

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_UNKNOWN_BOOT = f"unknown, process {secrets.token_hex(8)}"
_SAVE_INTERVAL = 60.0


def boot_id() -> str:
    """Identifies this boot of this machine, or this process if the boot is unknown: a sandbox may
    hide it."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip() or _UNKNOWN_BOOT
    except (OSError, ValueError):
        return _UNKNOWN_BOOT


class AgeClock:
    """The clock of an outbox, on the connection `database`. Raises `sqlite3.Error`, and
    `DamagedFileError` if the file has no time in its place."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._boot = boot_id()
        row = database.execute("SELECT boot, steady, age FROM clock").fetchone()
        steady, age = steady_seconds(), 0.0
        if row is not None:
            boot, last_steady, age = row
            if not isinstance(age, float) or not isinstance(last_steady, float):
                raise DamagedFileError("the clock of the outbox is no number")
            if boot == self._boot:
                age += max(0.0, steady - last_steady)
        self._offset = age - steady
        self._saved = age if row is not None else float("-inf")

    def now(self) -> float:
        """The time of this clock, in s."""
        return self._offset + steady_seconds()

    def save(self) -> None:
        """Store the time for the next process, at most once a minute."""
        now = self.now()
        if now - self._saved < _SAVE_INTERVAL:
            return
        self._database.execute(
            "INSERT INTO clock (id, boot, steady, age) VALUES (1, ?, ?, ?) ON CONFLICT (id) DO"
            " UPDATE SET boot = excluded.boot, steady = excluded.steady, age = excluded.age WHERE"
            " age <= excluded.age",
            (self._boot, steady_seconds(), now),
        )
        self._saved = now
