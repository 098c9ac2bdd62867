"""A configuration that changes while it is in use: seen, read and checked beside the work.

What is read is taken only as a whole and only where it is sound; else the errors are
told, and what was in use stays.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from netwatch.config import Config, load
from netwatch.core.errors import NetwatchError

FILES_LIMIT = 10_000
"""Files whose change is watched; of folders with more the rest is not looked at."""

Stamp = tuple[tuple[str, int, int, int], ...]


class Reloader:
    """Reads the configuration that `path` names as `netwatch.config.load` does.

    `current` is the one in use. A change of its files is seen by `changed`, which compares
    times, sizes and inodes; a file that is being written is read when it has been left
    alone from one call to the next.
    """

    def __init__(
        self, path: str | None, current: Config, read: Callable[[str | None], Config] = load
    ) -> None:
        self._path = path
        self._load = read
        self._used = stamp(current.files)
        self._last = self._used
        self._files = current.files
        self._thread: threading.Thread | None = None
        self._again = False
        self._found: Config | NetwatchError | None = None

    def changed(self) -> bool:
        """Whether the files are others than those in use, and stand still."""
        now = stamp(self._files)
        still, self._last = now == self._last, now
        return still and now != self._used

    @property
    def busy(self) -> bool:
        """Whether a configuration is being read."""
        return self._thread is not None

    def start(self) -> None:
        """Begin to read; where that is going on, once more behind it."""
        if self._thread is not None:
            self._again = True
            return
        self._used = self._last = stamp(self._files)
        self._thread = threading.Thread(target=self._read, name="reload", daemon=True)
        self._thread.start()

    def take(self) -> Config | NetwatchError | None:
        """The configuration that was read, or why it cannot be taken; None while there is
        nothing new."""
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread = None
        found, self._found = self._found, None
        if isinstance(found, Config) and found.files != self._files:
            # Files that it names for the first time are watched from now on.
            self._files = found.files
            self._used = self._last = stamp(found.files)
        if self._again:
            self._again = False
            self.start()
        return found

    def _read(self) -> None:
        try:
            self._found = self._load(self._path)
        except NetwatchError as error:
            self._found = error
        except OSError as error:
            self._found = NetwatchError(f"{error.filename}: {error.strerror}")


def stamp(files: Sequence[str]) -> Stamp:
    """What tells a change of files, and of those in folders."""
    found = []
    for path in files:
        for each in _below(path):
            try:
                status = os.stat(each)  # noqa: PTH116 - thousands of them
            except OSError:
                continue
            found.append((each, status.st_mtime_ns, status.st_size, status.st_ino))
            if len(found) >= FILES_LIMIT:
                return tuple(found)
    return tuple(found)


def _below(path: str) -> Iterator[str]:
    yield path
    for folder in (Path(path), Path(path, "apps")):
        try:
            with os.scandir(folder) as entries:
                yield from sorted(
                    each.path for each in entries if each.name.endswith((".yaml", ".yml"))
                )
        except OSError:
            continue
