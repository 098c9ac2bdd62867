"""Reads a changed configuration in a thread, beside the running capture.

A configuration is used only as a whole and only where it has no mistakes. Otherwise its
mistakes are reported, and the one in use stays in use.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from netwatch.config import Config, load
from netwatch.core.errors import NetwatchError

FILES_LIMIT = 10_000
"""Files that are watched for changes; further files of large folders are not."""

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""For each file its path, modification time in ns, size and inode."""


class Reloader:
    """Reads the configuration at `path`, as `netwatch.config.load` finds it.

    `current` is the configuration in use. Changes of its files are found by comparing
    modification times, sizes and inodes. So that no half-written file is read, a change
    counts only once the files are the same in two successive calls of `has_changed`.
    """

    def __init__(
        self, path: str | None, current: Config, read: Callable[[str | None], Config] = load
    ) -> None:
        self._path = path
        self._load = read
        self._files = current.files
        self._last_read = fingerprint(current.files)
        self._last_seen = self._last_read
        self._thread: threading.Thread | None = None
        self._start_again = False
        self._result: Config | NetwatchError | None = None

    def has_changed(self) -> bool:
        """Whether the files differ from those last read and have stopped changing."""
        now = fingerprint(self._files)
        is_stable, self._last_seen = now == self._last_seen, now
        return is_stable and now != self._last_read

    @property
    def is_reading(self) -> bool:
        """Whether a configuration is being read."""
        return self._thread is not None

    def start(self) -> None:
        """Start to read; where a read is in progress, another one follows it."""
        if self._thread is not None:
            self._start_again = True
            return
        self._last_read = self._last_seen = fingerprint(self._files)
        self._thread = threading.Thread(target=self._read, name="reload", daemon=True)
        self._thread.start()

    def poll(self) -> Config | NetwatchError | None:
        """The configuration that has been read, or its mistakes; None while nothing new has
        been read."""
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread = None
        result, self._result = self._result, None
        if isinstance(result, Config) and result.files != self._files:
            # From now on the files are watched that it names for the first time.
            self._files = result.files
            self._last_read = self._last_seen = fingerprint(result.files)
        if self._start_again:
            self._start_again = False
            self.start()
        return result

    def _read(self) -> None:
        try:
            self._result = self._load(self._path)
        except NetwatchError as error:
            self._result = error
        except OSError as error:
            self._result = NetwatchError(f"{error.filename}: {error.strerror}")
        except Exception as error:
            # A defect of netwatch. Unless it is reported, a reload would end without a word.
            self._result = NetwatchError(
                f"the configuration cannot be read: {type(error).__name__}: {error}"
            )


def fingerprint(files: Sequence[str]) -> Fingerprint:
    """The state of files, and of the YAML files in folders; missing files are left out."""
    states = []
    for given in files:
        for path in _expand(given):
            try:
                status = os.stat(path)  # noqa: PTH116 - there may be thousands of files
            except OSError:
                continue
            states.append((path, status.st_mtime_ns, status.st_size, status.st_ino))
            if len(states) >= FILES_LIMIT:
                return tuple(states)
    return tuple(states)


def _expand(path: str) -> Iterator[str]:
    """The path itself; of a folder of signatures also the files that are read from it."""
    yield path
    for folder in (Path(path), Path(path, "apps")):
        try:
            with os.scandir(folder) as entries:
                yield from sorted(
                    entry.path for entry in entries if entry.name.endswith((".yaml", ".yml"))
                )
        except OSError:
            continue
