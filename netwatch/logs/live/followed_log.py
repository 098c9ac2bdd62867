"""The log at one path: the file there, and those that a rotation has put aside and that are not
read to their end yet.

A rotation by rename leaves the program writing to the renamed file until it is made to open a new
one, so that file is followed for a while too. A rotation by copy truncates the file that is written
to: what was appended before is in the copy, which is recognised by its content. One of a file of
which nothing had been read yet is recognised by its time: it was written after the file was looked
at, and nothing else that is next to the file can have been.
"""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from netwatch.logs.live.followed_database import FollowedDatabase
from netwatch.logs.live.followed_file import FollowedFile, Position, is_compressed, is_rotated_from
from netwatch.logs.live.source import Batch

ASIDE_SECONDS = 60.0
"""Seconds without an addition after which a file that was put aside is complete."""

MAX_ASIDE = 8
"""Files put aside that are followed at a time; the oldest is complete when there are more."""

MAX_BESIDE = 1000
"""Files in the folder of a log among which its rotated files are looked for."""


class FollowedLog:
    """The log at `path`. `saved` are the positions in its files at the end of the last run, None
    where it was not followed before: then it is read from its beginning, or with `from_end` what
    is appended from now on.

    `notes` are sentences about what happened, which the caller may remove. `rotations`,
    `truncations` and `gaps` are counted: what was not read when a file was gone is a gap.
    `has_moved` becomes true whenever other files are followed than before. `problem` says why the
    file cannot be opened, empty where it can. Who looks at the log keeps when something was added
    to it (`active`) and when it is to be looked at again (s of a monotonic clock).
    """

    def __init__(
        self, path: str, saved: tuple[Position, ...] | None = None, *, from_end: bool = False
    ) -> None:
        self.path = path
        self.notes: list[str] = []
        self.rotations = self.truncations = self.gaps = 0
        self.has_moved = False
        self.active: float | None = None
        self.next_look = 0.0
        self.problem = ""
        self._current: FollowedFile | None = None
        self._aside: list[FollowedFile] = []
        self._last: list[Batch] = []
        self._to_resume: tuple[Position, ...] = ()
        self._is_to_skip = False
        # When nothing had been read of the file, and nothing was new; ns since the epoch.
        self._unread_at: int | None = None
        try:
            if saved:
                self._resume(saved)
            elif from_end:
                self._current = self._open(path)
                self._is_to_skip = self._current is not None
                self._skip()
        except OSError as error:
            self._to_resume = saved or ()
            self._reopen(error)

    @property
    def positions(self) -> tuple[Position, ...]:
        """How far the files were read, the oldest first."""
        found = self._to_resume or tuple(file.position for file in self.files)
        if found and not found[-1].offset and self._unread_at is not None:
            return (*found[:-1], found[-1]._replace(mark=str(self._unread_at)))
        return found

    @property
    def files(self) -> tuple[FollowedFile, ...]:
        """The open files, the oldest first."""
        current = () if self._current is None else (self._current,)
        return (*self._aside, *current)

    @property
    def is_gone(self) -> bool:
        """Whether there is no file at the path, and none that was put aside is being read."""
        return self._current is None and not self._aside and not self._to_resume

    def poll(self, now: float) -> bool:
        """Notice what happened to the files by `now` (s of a monotonic clock): whether there may be
        something to read."""
        try:
            return self._poll(now)
        except OSError as error:
            self._reopen(error)
            return False

    def read(self) -> Batch | None:
        """The next records, those of older files first; None if there are none now."""
        if self._last:
            return self._last.pop(0)
        try:
            for file in self.files:
                if file.has_changed() and (chunk := file.read()) is not None:
                    return chunk
        except OSError as error:
            self._reopen(error)
        return None

    def skip(self) -> None:
        """Leave out what there is now."""
        try:
            for file in self.files:
                file.go_to_end()
        except OSError as error:
            self._reopen(error)

    def close(self) -> None:
        """Close the files."""
        for file in self.files:
            file.close()

    def _poll(self, now: float) -> bool:
        if self._to_resume:
            self._resume(self._to_resume)
            self._to_resume = ()
        self._skip()
        looked = _file_time()
        status = self._status()
        current = self._current
        if current is not None:
            if status is None or (status.st_ino, status.st_dev) != (current.inode, current.device):
                self._put_aside(current)
                self._current = self._unread_at = None
            elif current.has_changed(status):
                if current.was_replaced():
                    self._truncated(current)
                elif current.is_at_start:
                    self._copied()
            elif current.is_at_start:
                self._unread_at = looked
        if self._current is not None and self._current.is_database:
            # It was empty before.
            self._current.close()
            self._current = None
        if self._current is None and status is not None:
            # There may have been several rotations since the last look.
            self._aside += self._newer(self.files)
            self._current = self._open(self.path)
            self.has_moved = self.has_moved or self._current is not None
        self._end_aside(now)
        changed = self._current is not None and self._current.has_changed()
        return changed or bool(self._last) or any(file.has_changed() for file in self._aside)

    def _reopen(self, error: OSError) -> None:
        """Open the files again at the next look, after one could not be read: a server of files may
        have forgotten the descriptors, and a database may be in use."""
        self._to_resume = self.positions
        self.close()
        self._current, self._aside = None, []
        self.problem = _reason(error)

    def _skip(self) -> None:
        """Leave out what there was at the start, if that has not been possible yet."""
        if self._is_to_skip and self._current is not None:
            self._unread_at = _file_time()
            self._current.go_to_end()
            self._is_to_skip = False

    def _status(self) -> os.stat_result | None:
        try:
            status = os.stat(self.path)  # noqa: PTH116 - many times a second
        except OSError as error:
            self.problem = _reason(error)
            return None
        return status

    def _open(self, path: str, position: Position | None = None) -> FollowedFile | None:
        try:
            file = opened(path, position)
        except OSError as error:
            if path == self.path:
                self.problem = _reason(error)
            return None
        if path == self.path:
            self.problem = ""
        return file

    def _put_aside(self, file: FollowedFile) -> None:
        self.rotations += 1
        self.has_moved = True
        self._aside.append(file)

    def _truncated(self, file: FollowedFile) -> None:
        self.truncations += 1
        self.has_moved = True
        before = file.position
        copy = next(self._matching(before), None)
        if copy is not None:
            copy.go_to(before)
            self._aside.append(copy)
            self._aside += self._newer(self.files[:-1])
        self._unread_at = _file_time()
        file.restart()

    def _copied(self) -> None:
        """Read the copies of the file that were made since nothing had been read of it."""
        since = self._unread_at
        if since is None:
            return
        found = self._written_since(since, self.files)
        if found:
            self.truncations += 1
            self.has_moved = True
            self._aside += found

    def _end_aside(self, now: float) -> None:
        """Close the files to which nothing was added for a while."""
        remaining = []
        excess = len(self._aside) - MAX_ASIDE
        for number, file in enumerate(self._aside):
            since = now if file.idle_since is None else file.idle_since
            if file.has_changed():
                file.idle_since = None
                remaining.append(file)
            elif number >= excess and now - since < ASIDE_SECONDS:
                file.idle_since = since
                remaining.append(file)
            else:
                self.has_moved = True
                rest = file.read_rest()
                self._last += [] if rest is None else [rest]
                file.close()
        self._aside = remaining

    def _resume(self, saved: tuple[Position, ...]) -> None:
        """Continue where the last run ended, with the files that were written since."""
        known: list[FollowedFile] = []
        for position in saved:
            found = self._find(position)
            if found is None:
                if position.offset:
                    self.gaps += 1
                    self.notes.append(
                        f"{self.path}: the file that was read to byte {position.offset:,} is gone;"
                        " lines appended to it later are not read"
                    )
                continue
            found.go_to(position)
            known.append(found)
        for file in known:
            if file.path == self.path:
                self._current = file
            else:
                self._aside.append(file)
        if self._current is not None and self._current.is_at_start and saved[-1].mark.isdigit():
            self._unread_at = int(saved[-1].mark)

    def _find(self, position: Position) -> FollowedFile | None:
        """The file in which a position was: the one at the path, or one that was put aside."""
        file = self._open(self.path)
        if file is not None:
            if file.matches(position):
                return file
            file.close()
        return next(self._matching(position), None)

    def _matching(self, position: Position) -> Iterator[FollowedFile]:
        """The files put aside that have the same content before a position, which the caller
        closes; the one with the same inode first."""
        for path in sorted(self._beside(), key=lambda path: _inode(path) != position.inode):
            file = self._open(path)
            if file is None:
                continue
            if file.matches(position):
                yield file
                return
            file.close()

    def _newer(self, known: Sequence[FollowedFile]) -> list[FollowedFile]:
        """The files put aside that were written after those that are known; none if none is."""
        return self._written_since(known[-1].modified, known) if known else []

    def _written_since(self, since: int, known: Sequence[FollowedFile]) -> list[FollowedFile]:
        """The files put aside that were written at a time (ns) or later and are not known."""
        inodes = {(file.device, file.inode) for file in known}
        found = []
        for path in self._beside():
            file = self._open(path)
            if file is None:
                continue
            if (file.device, file.inode) in inodes or file.modified < since:
                file.close()
            else:
                found.append(file)
        return sorted(found, key=lambda file: file.modified)

    def _beside(self) -> Iterator[str]:
        """The paths of the files that look as if a rotation had put them aside."""
        folder, name = os.path.split(self.path)
        try:
            with os.scandir(folder or ".") as entries:
                for number, entry in enumerate(entries):
                    if number >= MAX_BESIDE:
                        return
                    if (
                        not is_compressed(entry.name)
                        and is_rotated_from(entry.name, name)
                        and entry.is_file()
                    ):
                        yield str(Path(folder, entry.name)) if folder else entry.name
        except OSError:
            return


def _file_time() -> int:
    """The time that a file would have that is written now, ns since the epoch. Linux takes that of
    the last tick, which is some milliseconds behind the clock."""
    if hasattr(time, "CLOCK_REALTIME_COARSE"):
        return time.clock_gettime_ns(time.CLOCK_REALTIME_COARSE)
    return time.time_ns()


def opened(path: str, position: Position | None = None) -> FollowedFile:
    """The file at a path, or the database that it is. Raises `OSError`."""
    file = FollowedFile(path)
    if file.is_database:
        file.close()
        return FollowedDatabase(path, position)
    if position is not None:
        file.go_to(position)
    return file


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file; it is read once it appears"
    return error.strerror or str(error)


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino  # noqa: PTH116
    except OSError:
        return -1
