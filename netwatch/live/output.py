"""Records of a capture that goes on: written as they come, never waited for.

A reader that is slow or a disk that is full must not hold up who listens to the workers,
so what cannot be written now waits in memory, bounded, and goes out later. A file that
was moved away by a rotation is opened again.
"""

import contextlib
import io
import os
import select
import stat
from collections.abc import Callable
from typing import TextIO

from netwatch.core.alert import Alert
from netwatch.core.errors import NetwatchError
from netwatch.formats.registry import FORMATS

BYTES_LIMIT = 16 << 20
"""Bytes of records that wait to be written; records beyond are left out and counted."""

_PIECE = 4096
"""What a pipe that has room takes without making us wait (PIPE_BUF of pipe(7))."""


class GoneError(NetwatchError):
    """Whoever read the records went away."""


class Output:
    """Writes alerts in a format to the file `path`, at its end, or to `stream` where there is
    none. `tell` takes sentences on what went wrong; `left_out` counts records that were
    not written. Raises `NetwatchError` where the file cannot be opened.
    """

    def __init__(
        self, format_: str, path: str | None, stream: TextIO, tell: Callable[[str], None]
    ) -> None:
        self._path = path
        self._tell = tell
        self._failing = False
        self.left_out = 0
        self._number = stream.fileno() if path is None else -1
        self._text = io.StringIO()
        self._waiting = bytearray()
        if path is None:
            stream.flush()
        else:
            self._open()
        self._writer = FORMATS[format_].writer(self._text)
        self._writer.begin("alerts")
        if path is not None and os.fstat(self._number).st_size:
            # What stands before the first record stands there already.
            self._text.seek(0)
            self._text.truncate()
        self._take()

    @property
    def waiting(self) -> int:
        """Bytes of records that wait to be written."""
        return len(self._waiting)

    def alert(self, told: Alert) -> None:
        """Write one alert, now or later."""
        if len(self._waiting) >= BYTES_LIMIT:
            self.left_out += 1
            return
        self._writer.alert(told)
        self._take()
        self.pump()

    def pump(self) -> None:
        """Write what waits, as far as that goes without waiting. Raises `GoneError`."""
        try:
            while self._waiting and self._writable():
                written = os.write(self._number, self._waiting[:_PIECE])
                del self._waiting[:written]
        except BrokenPipeError:
            raise GoneError("whoever read the records went away") from None
        except OSError as error:
            if not self._failing:
                self._tell(f"{self._path or 'standard output'}: {error.strerror}; records wait")
            self._failing = True
            return
        if self._failing and not self._waiting:
            self._tell(f"{self._path or 'standard output'}: written again")
            self._failing = False

    def reopen(self) -> None:
        """Open the file anew where another, or none, stands at its path: after a rotation."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(self._path), os.fstat(self._number)):  # noqa: PTH116
                return
        before = self._number
        try:
            self._open()
        except NetwatchError as error:
            self._tell(str(error))
        else:
            os.close(before)

    def close(self, timeout: float) -> None:
        """Write what is left, waiting up to `timeout` seconds for whoever reads."""
        with contextlib.suppress(GoneError):
            self._writer.end()
            self._take()
            self.pump()
            while self._waiting and not self._failing:
                if not select.select([], [self._number], [], timeout)[1]:
                    break
                self.pump()
        if self._waiting:
            where = self._path or "standard output"
            self._tell(f"{where}: {len(self._waiting):,} bytes of records could not be written")
        if self._path is not None:
            os.close(self._number)

    def _open(self) -> None:
        assert self._path is not None
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            self._number = os.open(self._path, flags, 0o640)
        except OSError as error:
            raise NetwatchError(f"{self._path}: cannot be written: {error.strerror}") from None

    def _take(self) -> None:
        self._waiting += self._text.getvalue().encode(errors="backslashreplace")
        self._text.seek(0)
        self._text.truncate()

    def _writable(self) -> bool:
        if stat.S_ISREG(os.fstat(self._number).st_mode):
            return True
        return bool(select.select([], [self._number], [], 0)[1])
