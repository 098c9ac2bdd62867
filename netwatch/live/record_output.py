"""Writes the records of a live capture without ever blocking.

A slow reader or a full disk must not stop the aggregator from reading its workers. So what
cannot be written yet is buffered in memory up to a limit and written later. A file that a
log rotation has moved away is reopened.
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
from netwatch.core.text import quantity
from netwatch.formats.registry import FORMATS

BUFFER_LIMIT = 16 << 20
"""Bytes of records that are buffered; further records are discarded and counted."""

_WRITE_SIZE = 4096
"""Bytes that a writable pipe accepts without blocking (PIPE_BUF, pipe(7))."""


class ReaderGoneError(NetwatchError):
    """The process that read the records has ended."""


class RecordOutput:
    """Appends alerts in a format to the file `path`, or writes them to `stream` where `path`
    is None.

    `warn` takes sentences about problems, `discarded` counts the records that did not fit
    into the buffer. Raises `NetwatchError` where the file cannot be opened.
    """

    def __init__(
        self, format_: str, path: str | None, stream: TextIO, warn: Callable[[str], None]
    ) -> None:
        self._path = path
        self._warn = warn
        self._name = path or "standard output"
        self._failing = False
        self.discarded = 0
        self._descriptor = stream.fileno() if path is None else -1
        self._text = io.StringIO()
        self._buffer = bytearray()
        if path is None:
            stream.flush()
        else:
            self._descriptor = _open(path)
        self._writer = FORMATS[format_].writer(self._text)
        self._writer.begin("alerts")
        if path is not None and os.fstat(self._descriptor).st_size:
            # The file has the header of its format already.
            self._text.seek(0)
            self._text.truncate()
        self._collect()

    @property
    def buffered(self) -> int:
        """Bytes of records that have not been written yet."""
        return len(self._buffer)

    def write(self, alert: Alert) -> None:
        """Write one alert, now or later. Raises `ReaderGoneError`."""
        if len(self._buffer) >= BUFFER_LIMIT:
            self.discarded += 1
            return
        self._writer.alert(alert)
        self._collect()
        self.flush()

    def flush(self) -> None:
        """Write as much of the buffer as is possible without blocking. Raises
        `ReaderGoneError`."""
        try:
            while self._buffer and self._is_writable():
                written = os.write(self._descriptor, self._buffer[:_WRITE_SIZE])
                del self._buffer[:written]
        except BrokenPipeError:
            raise ReaderGoneError("the reader of the records has gone away") from None
        except OSError as error:
            if not self._failing:
                self._warn(f"{self._name}: {error.strerror}; records are buffered")
            self._failing = True
            return
        if self._failing and not self._buffer:
            self._warn(f"{self._name}: writing works again")
            self._failing = False

    def reopen(self) -> None:
        """Reopen the file where its path now leads to another file or to none, as after a
        log rotation."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(self._path), os.fstat(self._descriptor)):  # noqa: PTH116
                return
        previous = self._descriptor
        try:
            self._descriptor = _open(self._path)
        except NetwatchError as error:
            self._warn(str(error))
        else:
            os.close(previous)

    def close(self, timeout: float) -> None:
        """Write the rest of the buffer, waiting at most `timeout` seconds for a slow reader
        to accept the next piece."""
        with contextlib.suppress(ReaderGoneError):
            self._writer.end()
            self._collect()
            self.flush()
            while self._buffer and not self._failing:
                if not select.select([], [self._descriptor], [], timeout)[1]:
                    break
                self.flush()
        if self._buffer:
            lost = quantity(len(self._buffer), "byte")
            self._warn(f"{self._name}: {lost} of records could not be written")
        if self._path is not None:
            os.close(self._descriptor)

    def _collect(self) -> None:
        """Move what the format's writer wrote into the buffer."""
        self._buffer += self._text.getvalue().encode(errors="backslashreplace")
        self._text.seek(0)
        self._text.truncate()

    def _is_writable(self) -> bool:
        if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            return True
        return bool(select.select([], [self._descriptor], [], 0)[1])


def _open(path: str) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o640)
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be written: {error.strerror}") from None
