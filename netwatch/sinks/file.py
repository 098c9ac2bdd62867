"""Alerts as lines of a file, for programs that follow it (Filebeat, imfile, a forwarder).

Each line is one write in append mode (O_APPEND), so readers and other writers never see a mixture
of two lines. The file is reopened when it was rotated away, and can be rotated here by size. If the
disk is full, a partly written line is removed again. A line that a crash cut off is terminated
before the next one is written, so that it does not corrupt that too.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from netwatch.core.file_keys import key
from netwatch.core.system.files import O_CLOEXEC, O_NONBLOCK, pread
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import PATH, number, size
from netwatch.sinks.base import (
    Delivered,
    MisconfiguredError,
    Outcome,
    OutgoingAlert,
    Retry,
    UnavailableError,
)
from netwatch.sinks.secrets import Secret

MAX_ROTATED_FILES = 1000
"""The largest number of rotated files to keep."""

MIN_ROTATE_BYTES = 65536
"""The smallest size at which a file can be rotated."""


@dataclass(frozen=True, slots=True)
class FileOptions:
    """`rotate_bytes` is the size at which the file is rotated, 0 for never; `keep` the number of
    rotated files that are retained."""

    path: Path = key(
        PATH, "the file to append to. Its folder must exist", required="the file to append to"
    )
    rotate_bytes: int = key(
        replace(size(MIN_ROTATE_BYTES), empty=0),
        "the size at which the file is rotated; 64k at least",
        name="rotate",
        shown="never",
    )
    keep: int = key(
        number(1, MAX_ROTATED_FILES, words="integer"),
        f"rotated files to retain, 1 to {MAX_ROTATED_FILES}",
        5,
    )

    def checked(self, fields: Fields, _: Path) -> Self:
        """The options, checked together."""
        if self.path is not None and self.path.is_dir():
            fields.add_problem("path", f"'path': expected a file, found the folder {self.path}")
        if fields.is_set("keep") and not fields.is_set("rotate"):
            fields.add_problem(
                "keep", "'keep' needs 'rotate', the size at which the file is rotated"
            )
        return self

    def secrets(self) -> tuple[Secret, ...]:
        """A file needs no secrets."""
        return ()

    def warning(self) -> str:
        """Nothing is sent."""
        return ""

    def open(self) -> "FileSink":
        """Create the sink."""
        return FileSink(self)


class FileSink:
    """Appends to one file."""

    max_batch = 500

    def __init__(self, options: FileOptions) -> None:
        self._options = options
        self._descriptor: int | None = None

    def send(self, alerts: Sequence[OutgoingAlert]) -> Sequence[Outcome]:
        """Write and sync lines. Lines that a full disk did not accept must be retried."""
        written, reason = 0, ""
        try:
            descriptor = self._open_current()
            for alert in alerts:
                if self._is_due_for_rotation(descriptor):
                    os.fsync(descriptor)
                    self._rotate()
                    descriptor = self._open_current()
                self._write(descriptor, alert.text.encode("utf-8", "backslashreplace") + b"\n")
                written += 1
        except OSError as error:
            reason = f"{self._options.path}: {error.strerror or error}"
        try:
            if written and self._descriptor is not None:
                os.fsync(self._descriptor)
        except OSError as error:
            self.close()
            raise UnavailableError(f"{self._options.path}: {error.strerror}") from None
        if reason:
            self.close()
        delivered = [Delivered(f"written to {self._options.path}")] * written
        return [*delivered, *[Retry(reason)] * (len(alerts) - written)]

    def _is_due_for_rotation(self, descriptor: int) -> bool:
        limit = self._options.rotate_bytes
        return limit > 0 and os.fstat(descriptor).st_size >= limit

    def _open_current(self) -> int:
        """A descriptor of the file that has the configured name now, which may not be the one that
        was opened before."""
        if self._descriptor is not None:
            with contextlib.suppress(FileNotFoundError):
                named, opened = self._options.path.stat(), os.fstat(self._descriptor)
                if (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino):
                    return self._descriptor
            self.close()
        flags = os.O_CREAT | os.O_RDWR | os.O_APPEND | O_CLOEXEC | O_NONBLOCK
        descriptor = self._descriptor = os.open(self._options.path, flags, 0o640)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            # Bytes that a pipe has accepted are lost if its reader ends.
            raise OSError(errno.EINVAL, "is not a regular file")
        size = os.fstat(descriptor).st_size
        if size and pread(descriptor, 1, size - 1) != b"\n":
            self._write(descriptor, b"\n")
        return descriptor

    def _write(self, descriptor: int, line: bytes) -> None:
        """Append a line completely or, if that fails, not at all."""
        written = 0
        try:
            written = os.write(descriptor, line)
            while written < len(line):
                written += os.write(descriptor, line[written:])
        except OSError:
            if written:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise

    def _rotate(self) -> None:
        """Rename ``alerts.jsonl`` to ``alerts.jsonl.1``, that one to ``.2`` and so on. The oldest
        file is overwritten."""
        path = self._options.path
        self.close()
        for age in range(self._options.keep - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(f"{path.name}.{age}").rename(
                    path.with_name(f"{path.name}.{age + 1}")
                )
        path.rename(path.with_name(f"{path.name}.1"))

    def check_connection(self) -> str:
        """Check whether the file can be written, or created in its folder."""
        path = self._options.path
        target = path if path.exists() else path.parent
        if not target.exists():
            raise UnavailableError(f"there is no folder {target}")
        if not os.access(target, os.W_OK):
            raise MisconfiguredError(f"no permission to write to {target}")
        return f"{path} can be written"

    def on_idle(self) -> None:
        """Keep the file open."""

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):
                os.close(descriptor)
