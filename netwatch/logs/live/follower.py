"""Follows all logs that a user named: files, folders, and patterns of names.

The files are looked at ten times a second. Compared with inotify(7) this works on every file
system (a log may be on NFS, or be written in another container), needs no watch for each file and
each folder, and cannot overflow; one look at an idle file is one system call, and files that have
been idle for long are looked at less often.
"""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from netwatch.core.text import quantity
from netwatch.logs.live.followed_file import Position, bases, decode, encode, is_compressed
from netwatch.logs.live.followed_log import FollowedLog

MAX_LOGS = 1000
"""Logs that are followed at a time; further ones are not read, with a note."""

DISCOVERY_SECONDS = 1.0
"""How often folders and patterns are looked at for new files."""

IDLE_AFTER = 10.0
"""Seconds without an addition after which a log is idle."""

IDLE_SECONDS = 0.5
"""How often idle logs are looked at."""

_FILE, _ARGUMENT = "file:", "argument:"


class Follower:
    """Follows the logs of `arguments` from the positions that `saved` has, which are the values
    that `take_positions` gave in an earlier run.

    Logs that exist at the start and were never followed are read from their end on: what happened
    before is for a scan. All later ones are read from their beginning. `notes` are sentences,
    which the caller may remove; `events` counts rotations, truncations and gaps by name.
    """

    def __init__(self, arguments: Sequence[str], saved: Mapping[str, str], now: float) -> None:
        self.notes: list[str] = []
        self._arguments = tuple(arguments)
        self._saved = dict(saved)
        self._told: dict[str, str | None] = {}
        self._logs: dict[str, FollowedLog] = {}
        self._ended = Counter[str]()
        self._excess = False
        known = {argument for argument in arguments if _ARGUMENT + argument in saved}
        for argument in arguments:
            self._told[_ARGUMENT + argument] = ""
            for path in self._paths(argument):
                self._add(path, from_end=argument not in known)
        self._next_discovery = now + DISCOVERY_SECONDS
        self._resume_renamed()

    @property
    def logs(self) -> Iterable[FollowedLog]:
        """The logs that are followed."""
        return self._logs.values()

    def log(self, path: str) -> FollowedLog:
        """The log at a path that is followed."""
        return self._logs[path]

    @property
    def events(self) -> Counter[str]:
        """How often a log was rotated, was truncated, or was gone before it was read."""
        counted = Counter(self._ended)
        for log in self._logs.values():
            counted.update(_events(log))
        return +counted

    @property
    def unreadable(self) -> dict[str, str]:
        """The arguments that name one file which cannot be read now, and why."""
        return {
            path: log.problem
            for path in self._arguments
            if (log := self._logs.get(path)) is not None and log.problem
        }

    def poll(self, now: float) -> list[FollowedLog]:
        """The logs that may have something to read at `now`, in s of a monotonic clock."""
        if now >= self._next_discovery:
            self._next_discovery = now + DISCOVERY_SECONDS
            self._discover()
        ready = []
        for log in self._logs.values():
            if now < log.next_look:
                continue
            if log.poll(now):
                log.has_moved = True
                log.active = now
                ready.append(log)
            elif log.active is None:
                log.active, log.has_moved = now, True
            elif now - log.active > IDLE_AFTER:
                log.next_look = now + IDLE_SECONDS
            while log.notes:
                self.notes.append(log.notes.pop(0))
        return ready

    def take_positions(self) -> dict[str, str | None]:
        """How far the logs were read, as far as that has changed since the last call; None if a
        log is followed no more."""
        changed, self._told = self._told, {}
        for path, log in self._logs.items():
            if log.has_moved:
                log.has_moved = False
                text = encode(log.positions)
                if self._saved.get(_FILE + path) != text:
                    self._saved[_FILE + path] = changed[_FILE + path] = text
        return changed

    def close(self) -> None:
        """Close all files."""
        for log in self._logs.values():
            log.close()

    def _discover(self) -> None:
        present = {path for argument in self._arguments for path in self._paths(argument)}
        for path in sorted(present - self._logs.keys()):
            self._add(path, from_end=False)
        for path in [path for path, log in self._logs.items() if log.is_gone]:
            if path not in present:
                self._forget(path)

    def _forget(self, path: str) -> None:
        self._ended.update(_events(self._logs.pop(path)))
        self._saved.pop(_FILE + path, None)
        self._told[_FILE + path] = None

    def _paths(self, argument: str) -> Iterator[str]:
        """The logs that an argument names now, without those that a rotation has put aside."""
        if os.path.isdir(argument):  # noqa: PTH112
            found = sorted(os.path.join(argument, name) for name in _names(argument))  # noqa: PTH118
        elif glob.has_magic(argument) and not os.path.exists(argument):  # noqa: PTH110
            found = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207
        else:
            yield argument
            return
        present = set(found)
        for path in found:
            folder, name = os.path.split(path)
            is_aside = any(os.path.join(folder, base) in present for base in bases(name))  # noqa: PTH118
            if not (is_aside or name.startswith(".") or is_compressed(name)) and _is_file(path):
                yield path

    def _add(self, path: str, *, from_end: bool) -> None:
        if path in self._logs:
            return
        if len(self._logs) >= MAX_LOGS:
            if not self._excess:
                self.notes.append(
                    f"more than {quantity(MAX_LOGS, 'log')}: {path} and further ones are not read"
                )
            self._excess = True
            return
        self._logs[path] = FollowedLog(path, self._positions(path), from_end=from_end)

    def _positions(self, path: str) -> tuple[Position, ...] | None:
        text = self._saved.get(_FILE + path)
        if text is None:
            return None
        try:
            return decode(text)
        except ValueError:
            self.notes.append(f"{path}: its saved position is damaged; it is read from its start")
            return ()

    def _resume_renamed(self) -> None:
        """Continue logs at whose path there is no file now, but one that a rotation put aside."""
        for key in list(self._saved):
            path = key.removeprefix(_FILE)
            if key.startswith(_FILE) and path not in self._logs:
                if self._is_of_argument(path):
                    self._add(path, from_end=False)
                else:
                    del self._saved[key]
                    self._told[key] = None

    def _is_of_argument(self, path: str) -> bool:
        folder = os.path.dirname(path)  # noqa: PTH120
        for argument in self._arguments:
            if path == argument or os.path.normpath(argument) == os.path.normpath(folder):
                return True
            if glob.has_magic(argument) and _matches(path, argument):
                return True
        return False


def _matches(path: str, argument: str) -> bool:
    from netwatch.capture.locations import matcher

    return bool(matcher(argument)(path))


def _events(log: FollowedLog) -> dict[str, int]:
    return {
        "log-rotated": log.rotations,
        "log-truncated": log.truncations,
        "log-gap": log.gaps,
    }


def _names(folder: str) -> Sequence[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError:
        return ()


def _is_file(path: str) -> bool:
    return os.path.isfile(path)  # noqa: PTH113
