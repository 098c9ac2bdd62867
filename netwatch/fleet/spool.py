"""The spool of a sensor: files that wait until the centre has committed them.

The writer of facts adds files (`put`), the link to the centre reads and removes them. The name of a
file says all that has to be known of it without opening it::

    00000001764200000000000000a3f1-0000000007-observation-30000.batch
    epoch                          sequence   table       rows

An epoch is one life of a writer; in it sequences count from 1. A file is written under another name
and renamed, so there is no half one, and what a writer that was killed left is swept.
"""

import os
import re
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from netwatch.core.errors import NetwatchError
from netwatch.fleet.envelope import CONTENT_BYTES

MAX_FILE_BYTES = CONTENT_BYTES["facts"]
"""Bytes of a file in the spool."""

_NAME = re.compile(r"(\d{20}[0-9a-f]{4})-(\d{10})-([a-z]{1,16})-(\d{1,9})\.batch")
_TEMPORARY = ".tmp"


class SpoolFile(NamedTuple):
    """A file in the spool; in order of epoch and sequence, as they are sent."""

    epoch: str
    sequence: int
    table: str
    rows: int
    size: int

    @property
    def name(self) -> str:
        """Its name in the folder."""
        return f"{self.epoch}-{self.sequence:010}-{self.table}-{self.rows}.batch"

    @property
    def id(self) -> str:
        """What identifies it among all files of its sensor."""
        return f"{self.epoch}-{self.sequence}"


class SpoolWriter:
    """Adds files to the spool in `folder`, which is made where there is none. Raises
    `NetwatchError` where that is not possible."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._epoch = f"{time.time_ns():020}{secrets.token_hex(2)}"
        self._sequence = 0
        try:
            folder.mkdir(0o700, parents=True, exist_ok=True)
            for path in folder.glob(f"*{_TEMPORARY}"):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise NetwatchError(f"the spool {folder}: {error.strerror}") from None

    def put(self, table: str, rows: int, content: bytes) -> None:
        """Add a file; it is on disk when this returns. Raises `NetwatchError`, and may then be
        called again."""
        file = SpoolFile(self._epoch, self._sequence + 1, table, rows, len(content))
        path = self._folder / file.name
        temporary = path.with_suffix(_TEMPORARY)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.rename(path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise NetwatchError(f"the spool {self._folder}: {error.strerror}") from None
        self._sequence += 1


class Spool:
    """The files in `folder`, of which the oldest are evicted above `max_bytes`. `evicted_files` and
    `evicted_rows` count those. For one process."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self.evicted_files = 0
        self.evicted_rows = 0
        self.problem = ""

    def files(self) -> list[SpoolFile]:
        """All that wait, the oldest first, after the eviction of what is too much. Nothing where
        the folder cannot be read, which `problem` says."""
        found = []
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    match = _NAME.fullmatch(entry.name)
                    if match is None:
                        continue
                    with suppress(FileNotFoundError):
                        size = entry.stat().st_size
                        found.append(
                            SpoolFile(match[1], int(match[2]), match[3], int(match[4]), size)
                        )
            self.problem = ""
        except FileNotFoundError:
            return []
        except OSError as error:
            self.problem = f"the spool {self._folder}: {error.strerror}"
            return []
        found.sort()
        return self._evict(found)

    def _evict(self, files: list[SpoolFile]) -> list[SpoolFile]:
        total = sum(file.size for file in files)
        at = 0
        while total > self._max_bytes and at < len(files):
            total -= files[at].size
            self.evict(files[at])
            at += 1
        return files[at:]

    def evict(self, file: SpoolFile) -> None:
        """Delete a file that the centre does not have, and count that."""
        self.evicted_files += 1
        self.evicted_rows += file.rows
        self.remove([file])

    def read(self, file: SpoolFile) -> bytes | None:
        """The content of a file; None where it is gone or cannot be read."""
        try:
            return (self._folder / file.name).read_bytes()
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                self.problem = f"the spool {self._folder}: {error.strerror}"
            return None

    def remove(self, files: Iterable[SpoolFile]) -> None:
        """Delete files that are not needed any more."""
        for file in files:
            with suppress(OSError):
                (self._folder / file.name).unlink()


def before(files: Iterable[SpoolFile], file: SpoolFile) -> int:
    """The sequence of the file that precedes one in its epoch and still waits; 0 where none does.
    The centre takes a file only when it has that one."""
    return max(
        (each.sequence for each in files if each.epoch == file.epoch and each < file), default=0
    )
