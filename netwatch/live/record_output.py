"""Writes the records of a live capture without ever blocking, and sends alerts to all their
destinations: evidence capture, records, outputs, listeners.

A slow reader or a full disk must not stop the aggregator from reading its workers. So what cannot
be written yet is buffered in memory up to a limit and written later. A file that a log rotation has
moved away is reopened.

Writing to a file waits for no reader, so it needs no thread: what `put` could write is in the file
when it returns. After a crash no incident counts as reported whose record is missing.
"""

import contextlib
import errno
import io
import os
import stat
import threading
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from netwatch.core.alert import Alert, AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.core.private_files import open_for_append
from netwatch.core.text import escaped, quantity
from netwatch.formats import jsonl
from netwatch.formats.registry import FORMATS, RENDERERS
from netwatch.live.display import StreamWriter
from netwatch.live.events import AlertSent, Listener

BUFFER_LIMIT = 16 << 20
"""Bytes of records to buffer; further records are discarded and counted."""


WAIT = 5.0
"""Seconds that a full buffer waits for the reader to read anything, once the capture has ended
(`may_wait`)."""

_POLL = 0.02

BATCH = 500
"""Alerts to put into the outbox together at the end: each time it is written to the disk."""


class FileAppender:
    """Appends to `descriptor`, the open file `path`, which this object owns.

    `error` is the error of the last write, None if it succeeded; data that could not be written
    stays queued.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        # A crash or a full disk may have cut the last line, which the next one must not continue.
        self._queue = bytearray(b"\n" if _ends_within_a_line(path) else b"")
        self.error: OSError | None = None

    @property
    def queued(self) -> int:
        """Bytes that have not been written yet."""
        return len(self._queue)

    def put(self, data: bytes, *, required: bool = False) -> bool:
        """Append data, now or with a later call; always True."""
        self._queue += data
        self.flush()
        return True

    def flush(self) -> None:
        """Try to write what is queued."""
        self.error = None
        try:
            while self._queue:
                del self._queue[: os.write(self._descriptor, self._queue)]
        except OSError as error:
            self.error = error

    def reopen(self) -> None:
        """Open the file again if its path now leads to another file or to none, as after a log
        rotation. Raises `OSError`; the open file then stays in use."""
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(self._path), os.fstat(self._descriptor)):  # noqa: PTH116
                return
        # A pipe without a reader would block.
        descriptor = open_for_append(self._path, os.O_NONBLOCK)
        if not is_regular(descriptor):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "is not a regular file any more")
        os.close(self._descriptor)
        self._descriptor = descriptor

    def close(self, timeout: float) -> int:
        """Write the rest and close the file; returns the bytes that could not be written."""
        self.flush()
        os.close(self._descriptor)
        return len(self._queue)


def _ends_within_a_line(path: str) -> bool:
    """Whether the last byte of a file is not the end of a line; False if it cannot be read."""
    with contextlib.suppress(OSError), open(path, "rb") as stream:  # noqa: PTH123
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) != b"\n"
    return False


def is_regular(descriptor: int) -> bool:
    """Whether a descriptor is a regular file, not a pipe, terminal or device."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


class ReaderGoneError(NetwatchError):
    """The process that read the records has ended."""


class _Target(Protocol):
    """Where the bytes of records go: `FileAppender` or `StreamWriter`."""

    error: OSError | None

    @property
    def queued(self) -> int: ...

    def put(self, data: bytes, *, required: bool = False) -> bool: ...

    def flush(self) -> None: ...

    def close(self, timeout: float) -> int: ...


class RecordOutput:
    """Appends alerts in a format to the file `path`, or writes them to `stream` if `path` is None.

    `warn` takes sentences about problems, `discarded` counts the records that did not fit into the
    buffer, and `unwritten` the bytes that could not be written to the end. Raises `NetwatchError`
    if the file cannot be opened.
    """

    def __init__(
        self, format_: str, path: str | None, stream: TextIO, warn: Callable[[str], None]
    ) -> None:
        self._warn = warn
        self._name = path or "standard output"
        self._is_own = path is not None
        self._failing = False
        self.discarded = 0
        self.unwritten = 0
        self.may_wait = False
        self._text = io.StringIO()
        if path is None:
            stream.flush()
            self._descriptor = stream.fileno()
        else:
            self._descriptor = _open(path)
        self._format = format_
        self._lock = threading.Lock()
        self._is_closed = False
        self._writer = FORMATS[format_].writer(self._text)
        self._writer.begin("alerts")
        header = self._take_text()
        self._target: _Target
        if path is None or not is_regular(self._descriptor):
            self._target = StreamWriter(self._descriptor, BUFFER_LIMIT)
            self._target.put(header)
        else:
            self._target = FileAppender(path, self._descriptor)
            if not os.fstat(self._descriptor).st_size:
                self._target.put(header)

    @property
    def buffered(self) -> int:
        """Bytes of records that have not been written yet."""
        return self._target.queued

    @property
    def problem(self) -> str:
        """Why records cannot be written now, empty if they can."""
        error = self._target.error
        return f"{self._name}: {error.strerror}" if error is not None else ""

    def write(self, alert: Alert) -> None:
        """Write one alert, now or later. Raises `ReaderGoneError`."""
        if self.buffered >= BUFFER_LIMIT and not (self.may_wait and self._has_room()):
            self.discarded += 1
            return
        with self._lock:
            self._writer.alert(alert)
            self._target.put(self._take_text(), required=True)
        self._look_for_errors()

    def write_notice(self, record: AlertRecord) -> bool:
        """Write a notice, which is no alert, now or later, from any thread; false if this is
        closed. Whether the reader has gone, the next `flush` says."""
        with self._lock:
            if self._is_closed:
                return False
            if self.buffered >= BUFFER_LIMIT:
                self.discarded += 1
                return True
            render = RENDERERS.get(self._format)
            text = f"\n{escaped(record['message'])}" if render is None else render(record)
            self._target.put(f"{text}\n".encode(errors="backslashreplace"), required=True)
        return True

    def _has_room(self) -> bool:
        """Whether the reader makes room in the buffer, as long as it reads anything."""
        left, until = self.buffered, time.monotonic() + WAIT
        while left >= BUFFER_LIMIT and time.monotonic() < until:
            time.sleep(_POLL)
            self._target.flush()
            if self.buffered < left:
                left, until = self.buffered, time.monotonic() + WAIT
        # After waiting in vain, it does not wait for the next record.
        self.may_wait = left < BUFFER_LIMIT
        return self.may_wait

    def flush(self) -> None:
        """Write as much of the buffer as is possible without blocking. Raises
        `ReaderGoneError`."""
        if self.buffered:
            with self._lock:
                self._target.flush()
        self._look_for_errors()

    def _look_for_errors(self) -> None:
        error = self._target.error
        if isinstance(error, BrokenPipeError):
            raise ReaderGoneError("the reader of the records has gone away")
        if error is not None and not self._failing:
            self._failing = True
            self._warn(f"{self._name}: {error.strerror}; records are buffered")
        elif error is None and self._failing and not self.buffered:
            self._failing = False
            self._warn(f"{self._name}: writing works again")

    def reopen(self) -> None:
        """Reopen the file if its path now leads to another file or to none, as after a log
        rotation."""
        if isinstance(self._target, FileAppender):
            try:
                with self._lock:
                    self._target.reopen()
            except OSError as error:
                self._warn(f"{self._name}: cannot be written: {error.strerror}")

    def close(self, timeout: float) -> None:
        """Write the rest of the buffer, waiting at most `timeout` seconds for a slow reader
        to accept the next piece."""
        with self._lock:
            self._is_closed = True
        self._writer.end()
        self._target.put(self._take_text(), required=True)
        self.unwritten = self._target.close(timeout)
        if isinstance(self._target, StreamWriter) and self._is_own and not self.unwritten:
            os.close(self._descriptor)
        if self.unwritten:
            lost = quantity(self.unwritten, "byte")
            self._warn(f"{self._name}: {lost} of records could not be written")

    def _take_text(self) -> bytes:
        """What the writer of the format has written since the last call."""
        data = self._text.getvalue().encode(errors="backslashreplace")
        self._text.seek(0)
        self._text.truncate()
        return data


def _open(path: str) -> int:
    try:
        return open_for_append(path)
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be written: {error.strerror}") from None


class AlertDelivery(Protocol):
    """Queues records for the configured outputs, as
    `netwatch.delivery.delivery.Delivery` does."""

    def put(self, *records: AlertRecord) -> None: ...  # noqa: D102

    def reopen(self) -> None: ...  # noqa: D102


class AlertEvidence(Protocol):
    """Writes the packets of alerts, as
    `netwatch.incidents.evidence_folder.EvidenceFolder` does."""

    def write(self, alert: Alert) -> Alert: ...  # noqa: D102

    def retry(self) -> None: ...  # noqa: D102


class AlertSender:
    """Sends alerts to `output`, to `delivery` and as events to `emit`.

    `evidence` writes the packets of an alert and returns it with the path of their file.
    `reader_gone` becomes True when the reader of the records has gone away.
    """

    def __init__(
        self,
        output: RecordOutput,
        delivery: AlertDelivery | None,
        evidence: AlertEvidence | None,
        emit: Listener,
    ) -> None:
        self.output = output
        self.reader_gone = False
        self._delivery = delivery
        self._evidence = evidence
        self._emit = emit
        self._batch: list[AlertRecord] | None = None

    def expect_end(self) -> None:
        """The capture has ended, and many alerts may follow: from now on they are put into the
        outbox in batches, and the reader of the records is waited for. `flush` ends a batch."""
        self._batch = []
        self.output.may_wait = True

    def send(self, alert: Alert) -> None:
        """Send one alert."""
        if self._evidence is not None:
            alert = self._evidence.write(alert)
        try:
            self.output.write(alert)
        except ReaderGoneError:
            self.reader_gone = True
        if self._delivery is not None:
            self._deliver(jsonl.alert_record(alert))
        self._emit(AlertSent(alert))

    def _deliver(self, record: AlertRecord) -> None:
        assert self._delivery is not None
        if self._batch is None:
            self._delivery.put(record)
            return
        self._batch.append(record)
        if len(self._batch) >= BATCH:
            self._put_batch()

    def _put_batch(self) -> None:
        if self._batch and self._delivery is not None:
            self._delivery.put(*self._batch)
            self._batch = []

    def flush(self) -> None:
        """Write buffered records, as far as that does not block."""
        self._put_batch()
        try:
            self.output.flush()
        except ReaderGoneError:
            self.reader_gone = True

    def reopen(self) -> None:
        """Reopen the files that a log rotation has moved away."""
        self.output.reopen()
        if self._delivery is not None:
            self._delivery.reopen()
