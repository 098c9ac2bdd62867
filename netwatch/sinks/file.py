"""Alerts as lines of a file, for whoever follows it (Filebeat, imfile, a forwarder).

Each line is one write behind the end of the file (O_APPEND), so that readers and other
writers never see half of two. The file is opened anew when it was rotated away, and may
be rotated here by size. What a full disk took of a line is cut off again; a line that a
crash had cut is ended before the next, so that it spoils no other.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.user_yaml import Fields
from netwatch.sinks.base import (
    Again,
    Delivered,
    DeniedError,
    Item,
    Outcome,
    UnavailableError,
)
from netwatch.sinks.secrets import Secret
from netwatch.sinks.settings import number, size

MAX_KEPT_FILES = 1000
"""Rotated files that may be kept."""


@dataclass(frozen=True, slots=True)
class FileSettings:
    """`rotate` is the size in bytes from which the file is rotated, 0 for never; `keep` how
    many rotated ones stay."""

    path: Path
    rotate: int
    keep: int

    def secrets(self) -> tuple[Secret, ...]:
        """None."""
        return ()

    def open(self) -> "FileSink":
        """The sink."""
        return FileSink(self)


def read(fields: Fields, base: Path) -> FileSettings:
    """The keys ``path``, ``rotate`` and ``keep``."""
    path = fields.text("path", required="the file to write to")
    rotate = size(fields, "rotate", 0, least=65536)
    keep = number(fields, "keep", 5, 1, MAX_KEPT_FILES)
    if path and (base / path).is_dir():
        fields.add_problem("path", f"'path' is the folder {base / path}, expected a file")
    if fields.has("keep") and not fields.has("rotate"):
        fields.add_problem("keep", "'keep' needs 'rotate', the size from which the file is rotated")
    return FileSettings(base / path, rotate, keep)


class FileSink:
    """Writes to one file."""

    batch = 500

    def __init__(self, settings: FileSettings) -> None:
        self._settings = settings
        self._handle: int | None = None

    def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Write and sync lines; what a full disk did not take is for another time."""
        written, reason = 0, ""
        try:
            handle = self._current()
            for item in items:
                if self._settings.rotate and os.fstat(handle).st_size >= self._settings.rotate:
                    os.fsync(handle)
                    self._rotate()
                    handle = self._current()
                self._write(handle, item.text.encode("utf-8", "backslashreplace") + b"\n")
                written += 1
        except OSError as error:
            reason = f"{self._settings.path}: {error.strerror or error}"
        try:
            if written and self._handle is not None:
                os.fsync(self._handle)
        except OSError as error:
            self.close()
            raise UnavailableError(f"{self._settings.path}: {error.strerror}") from None
        if reason:
            self.close()
        done = [Delivered(f"written to {self._settings.path}")] * written
        return [*done, *[Again(reason)] * (len(items) - written)]

    def _current(self) -> int:
        """The file of that name, as it is now."""
        if self._handle is not None:
            with contextlib.suppress(FileNotFoundError):
                there, held = self._settings.path.stat(), os.fstat(self._handle)
                if (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino):
                    return self._handle
            self.close()
        flags = os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        handle = self._handle = os.open(self._settings.path, flags, 0o640)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            # What a pipe took is gone with its reader.
            raise OSError(errno.EINVAL, "is no regular file")
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            self._write(handle, b"\n")
        return handle

    def _write(self, handle: int, line: bytes) -> None:
        written = 0
        try:
            written = os.write(handle, line)
            while written < len(line):
                more = os.write(handle, line[written:])
                written += more
        except OSError:
            if written:
                with contextlib.suppress(OSError):
                    os.ftruncate(handle, os.fstat(handle).st_size - written)
            raise

    def _rotate(self) -> None:
        """``alerts.jsonl`` becomes ``alerts.jsonl.1``, and so on; the oldest goes."""
        path = self._settings.path
        self.close()
        for old in range(self._settings.keep - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(f"{path.name}.{old}").rename(
                    path.with_name(f"{path.name}.{old + 1}")
                )
        path.rename(path.with_name(f"{path.name}.1"))

    def reach(self) -> str:
        """Whether the file can be written, or made in its folder."""
        path = self._settings.path
        there = path if path.exists() else path.parent
        if not there.exists():
            raise UnavailableError(f"there is no folder {there}")
        if not os.access(there, os.W_OK):
            raise DeniedError(f"{there} may not be written")
        return f"{path} can be written"

    def rest(self) -> None:
        """The file stays open."""

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            with contextlib.suppress(OSError):
                os.close(handle)
