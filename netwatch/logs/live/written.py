"""The log of one followed path: its format, what its records say as they come, and whether what a
user wants to follow or receive can be read."""

import os
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from netwatch.capture.files import is_capture
from netwatch.core.errors import NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.core.text import quantity
from netwatch.logs import log_stream
from netwatch.logs.carriers import Carriers
from netwatch.logs.dnstap import is_frame_streams
from netwatch.logs.live.followed_database import FollowedDatabase
from netwatch.logs.live.followed_file import FollowedFile, divide_lines
from netwatch.logs.live.followed_log import FollowedLog
from netwatch.logs.live.follower import Follower
from netwatch.logs.live.receivers import Receivers
from netwatch.logs.live.senders import is_receiver, parse
from netwatch.logs.log_files import UNREAD_SHARE, LogItem
from netwatch.logs.log_stream import NUL_BYTES, read_head
from netwatch.logs.reading import Carried, CurrentRecord, ReaderContext, RecordError
from netwatch.logs.recognise import (
    NEITHER,
    SAMPLE_BYTES,
    Recognised,
    recognise_head,
    recognise_tables,
)
from netwatch.logs.records import Lack, time_of
from netwatch.logs.registry import LOG_FORMATS
from netwatch.logs.sqlite_rows import MAGIC
from netwatch.logs.times import SECOND, LocalTimes, LogOptions

FUTURE = 86_400 * SECOND
"""How far the time of a record may be ahead of the clock, ns; such records are not read."""

JUDGED_RECORDS = 100
"""Records after which it is said that too many cannot be read."""

TRIED_LINES = 20
"""Lines of a named file after which it is a trouble that no format is recognised: a program that
was started says other things first."""

CONTEXT = 1 << 20
"""Bytes before the position that are read again after a start, to know what later records belong
to: queries that wait for their answers, addresses of devices, flows. They are not judged again."""

_EVENT_LOG = (
    "is a Windows event log, which is only scanned: Windows keeps new events back for a while, and"
    " starts the file again when it is full. Winlogbeat, NXLog or Windows Event Forwarding write"
    " the same events as JSON, which is followed"
)
_UNKNOWN_SO_FAR = "no format is recognised in what it has so far; --as names one"
_UNKNOWN = "is no log of a format that netwatch knows; --as names one"
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")


class RecordReading:
    """Reads records of the format `name` from `source`. Counts go to `statistics`; `notes` are
    sentences, which the caller may remove. `times` read what carries the records, too, if that
    is taken off elsewhere.

    A year that times lack is no assumption here: the records are written now. A zone is one.
    """

    def __init__(
        self,
        source: str,
        name: str,
        options: LogOptions,
        statistics: RunStatistics,
        times: LocalTimes | None = None,
    ) -> None:
        self.source = source
        self.name = name
        self.notes: list[str] = []
        self._statistics = statistics
        self._format = LOG_FORMATS[name]
        self._times = times or LocalTimes(options.zone, options.year)
        self._carriers = Carriers(self._times)
        self._current = CurrentRecord()
        self._current.source = source
        self._reader = self._format.reader(ReaderContext(self._times, source, self._current))
        self._records = self._unread = self._said = 0
        self._is_judged = self._is_assumed = False
        self._last = (0, b"")

    def read(self, records: Iterable[tuple[int, bytes]], wall: int) -> Iterator[LogItem]:
        """What numbered records say, from which nothing was taken off. `wall` is the time now."""
        self._times.file_written(wall)
        for number, record in records:
            if not record:
                continue
            try:
                taken = self._carriers.take_off(record)
            except RecordError as error:
                self._note_unread(str(error))
                continue
            if taken is None:
                self._current.line, self._current.record = number, record
                self._current.keep_piece()
            else:
                yield from self.read_inner(number, record, *taken, wall)
        self._judge()

    def read_inner(
        self, number: int, record: bytes, inner: bytes, carried: Carried, wall: int
    ) -> Iterator[LogItem]:
        """What a record says, from which `inner` and `carried` were taken."""
        self._last = number, record
        self._current.line, self._current.record = number, record
        self._records += 1
        self._statistics.records += 1
        try:
            for entry in self._current.with_pieces(self._reader.read(inner, carried)):
                if time_of(entry) > wall + FUTURE:
                    raise RecordError("time-in-future")
                self._said += 1
                yield LogItem(self.source, self.name, number, record, entry, self._assumed())
        except RecordError as error:
            self._note_unread(str(error))

    def count_in(self, statistics: RunStatistics) -> None:
        """Count in other statistics from now on."""
        self._statistics = statistics
        self._records = self._unread = 0

    def file_written(self, wall: int) -> None:
        """Times without a year that follow are not later than this."""
        self._times.file_written(wall)
        self._judge()

    def flush(self) -> Iterator[LogItem]:
        """What waits for a later record: nothing more will come."""
        number, record = self._last
        for entry in self._reader.flush():
            yield LogItem(self.source, self.name, number, record, entry, self._assumed())

    def _assumed(self) -> tuple[Lack, ...]:
        return ("time-zone",) if self._times.assumed_zone else ()

    def _note_unread(self, reason: str) -> None:
        self._unread += 1
        self._statistics.unread_records[self.source, reason] += 1

    def _judge(self) -> None:
        """Say once where too much cannot be read, and what is assumed."""
        is_bad = self._unread * UNREAD_SHARE > self._records >= JUDGED_RECORDS
        if not self._is_judged and not self._said and not self._unread:
            if self._records >= JUDGED_RECORDS:
                self._is_judged = True
                self.notes.append(
                    f"{self.source}: none of {quantity(self._records, 'record')} so far can be"
                    f" read as {self._format.title}; --as names another format"
                )
        elif is_bad and not self._is_judged:
            self._is_judged = True
            self.notes.append(
                f"{self.source}: {self._unread:,} of {quantity(self._records, 'record')} could"
                f" not be read as {self._format.title}; --as names another format"
            )
        if self._times.assumed_zone and not self._is_assumed:
            self._is_assumed = True
            self.notes.append(
                f"{self.source}: times without a zone are read as UTC; --timezone sets another"
            )


class WrittenLog:
    """The log at a path, which is followed by `log`. With `is_named` the user has written this
    path, and it is said where it is no log; other files of a folder are left out.

    `last` is the time of the last record that was read, ns since the epoch, 0 before the first.
    `problem` says why it is no log that can be read, empty where it is.
    """

    def __init__(
        self, log: FollowedLog, options: LogOptions, statistics: RunStatistics, *, is_named: bool
    ) -> None:
        self.log = log
        self.last = 0
        self.notes: list[str] = []
        self.is_left_out = False
        self.problem = ""
        self._options = options
        self._statistics = statistics
        self._is_named = is_named
        self._reading: RecordReading | None = None
        self._examined = -1

    @property
    def format(self) -> str:
        """The format, empty while it is not known."""
        return self._reading.name if self._reading is not None else ""

    def context(self, wall: int) -> list[LogItem]:
        """What was said before the position, which is not to be judged."""
        file = next(iter(self.log.files), None)
        if file is None or file.position.offset == 0 or not self._recognise(file):
            return []
        assert self._reading is not None
        # It counts nothing: these records were counted when they were read.
        silent = RunStatistics()
        reading = RecordReading(self.log.path, self._reading.name, self._options, silent)
        self._reading.notes.clear()
        if file.container != "lines":
            return []
        head = [*divide_lines(file.head(min(SAMPLE_BYTES, file.position.offset))).records]
        always = LOG_FORMATS[reading.name].always
        headers = [(0, line) for line in head if any(text in line for text in always)]
        before = divide_lines(file.before(CONTEXT)).records
        numbered = enumerate(before, file.position.line - len(before) + 1)
        items = list(reading.read([*headers, *numbered], wall))
        reading.count_in(self._statistics)
        self._reading = reading
        return items

    def read(self, wall: int) -> list[LogItem] | None:
        """What the next records say; None if there are none now."""
        if self.is_left_out:
            self.log.skip()
            return None
        file = next((file for file in self.log.files if file.has_changed()), None)
        if self._reading is None and (file is None or not self._recognise(file)):
            return None
        chunk = self.log.read()
        if chunk is None:
            return None
        assert self._reading is not None
        if chunk.nul_runs:
            self._statistics.anomalies[NUL_BYTES] += chunk.nul_runs
        for reason in chunk.unread:
            self._statistics.unread_records[self.log.path, reason] += 1
        items = list(self._reading.read(enumerate(chunk.records, chunk.first), wall))
        if items:
            self.last = max(self.last, max(min(time_of(item.entry), wall) for item in items))
        self.notes += self._reading.notes
        self._reading.notes.clear()
        return items

    def flush(self) -> Iterator[LogItem]:
        """What waits for a later record: nothing more will come."""
        if self._reading is not None:
            yield from self._reading.flush()

    def _recognise(self, file: FollowedFile) -> bool:
        """Whether the format is known, by the head of a file."""
        if self._reading is not None:
            return True
        if isinstance(file, FollowedDatabase):
            found, head = recognised_database(file, self._options.format), b""
        else:
            head = file.text_head(SAMPLE_BYTES)
            if len(head) == self._examined:
                return False
            self._examined = len(head)
            found = recognised(head, self._options.format)
        if found.format is not None:
            self._reading = RecordReading(
                self.log.path, found.format, self._options, self._statistics
            )
            self._statistics.logs[found.format] += 1
            self.problem = ""
            return True
        if self._is_named and (found.hint or head.count(b"\n") >= TRIED_LINES):
            self.problem = found.hint or _UNKNOWN_SO_FAR
        if len(head) >= SAMPLE_BYTES or found.is_capture or found.doubt:
            self._leave_out(found)
        return False

    def _leave_out(self, found: Recognised) -> None:
        self.is_left_out = True
        if self._is_named or found.doubt:
            reason = found.doubt or found.hint or _UNKNOWN
            # Others in a folder need not be what the user wants to follow.
            self.problem = reason if self._is_named or not found.needs_name else ""
            if not self.problem:
                self.notes.append(f"{self.log.path}: {reason}")


def recognised(head: bytes, named: str | None) -> Recognised:
    """What a file with these first bytes is, as far as it can be followed; of the format `named`,
    if given."""
    if is_capture(head[:8]):
        return Recognised(is_capture=True)
    if head.startswith(log_stream.MAGIC):
        return Recognised(doubt=_EVENT_LOG)
    if head.startswith(_PACKED):
        return Recognised(doubt="is compressed, so that nothing is added to it: scan reads it")
    if named is not None:
        return Recognised(format=named)
    if is_frame_streams(head):
        return Recognised(format=frame_format())
    return recognise_head(head)


def recognised_database(database: FollowedDatabase, named: str | None) -> Recognised:
    """What a database is; of the format `named`, if given."""
    try:
        names = database.table_names()
    except OSError as error:
        return Recognised(doubt=error.strerror or str(error))
    if not names:
        return Recognised()  # it is written just now, or about to be
    if named is not None and LOG_FORMATS[named].container == "sqlite":
        return Recognised(format=named)
    found = recognise_tables(names)
    return found if found.format else Recognised(doubt="is a database of no program that is known")


def frame_format() -> str | None:
    """The only format that comes in Frame Streams."""
    return next(
        (name for name, row in LOG_FORMATS.items() if row.container == "frame-streams"), None
    )


_MOMENT = 0.25
"""Seconds in which a database that was written has become quiet."""

Examined = tuple[bool, str, tuple[str, ...]]
"""Whether it is in order, a sentence on that, and what to do about it."""


def examine(argument: str) -> Examined:
    """What can be said of one PATH of ``live --source logs``. A receiver listens for a moment."""
    if is_receiver(argument):
        try:
            Receivers([parse(argument)]).close()
        except NetwatchError as error:
            return False, str(error).removeprefix(f"{argument}: "), ()
        return True, "logs can be received here", ()
    follower = Follower([argument], {}, 0.0)
    try:
        paths = [log.path for log in follower.logs]
    finally:
        follower.close()
    if paths != [argument]:
        return _several(argument, paths)
    return _file(argument)


def _several(argument: str, paths: list[str]) -> Examined:
    """A folder or a pattern: each log that is recognised in it."""
    try:
        if Path(argument).is_dir():
            os.listdir(argument)  # noqa: PTH208
    except OSError as error:
        return False, f"cannot be read: {error.strerror}", (_grant(argument),)
    found = [(path, _file(path)) for path in paths]
    known = [f"{Path(path).name}: {text}" for path, (is_ok, text, _) in found if is_ok]
    text = "; ".join(known) if known else "has no log yet; files that appear are read"
    return True, text, ()


def _read_at(file: BinaryIO, size: int, at: int) -> bytes:
    file.seek(at)
    return file.read(size)


def _file(path: str) -> Examined:
    try:
        with Path(path).open("rb") as file:
            head = read_head(partial(_read_at, file), SAMPLE_BYTES)
    except FileNotFoundError:
        return False, "there is no such file; it is read once it appears", ()
    except OSError as error:
        return False, f"cannot be read: {error.strerror}", (_grant(path),)
    if head.startswith(MAGIC):
        try:
            database = FollowedDatabase(path)
        except OSError as error:
            return False, f"cannot be read: {error.strerror}", ()
        found = recognised_database(database, None)
        if found == NEITHER:
            time.sleep(_MOMENT)
            found = recognised_database(database, None)
        database.close()
        if found == NEITHER:
            return (
                True,
                "a database that is being written; it is read as soon as that has ended",
                (),
            )
    else:
        found = recognised(head, None)
    if found.format is not None:
        return True, f"a log of {LOG_FORMATS[found.format].title}", ()
    if not head:
        return True, "is empty so far", ()
    if found.is_capture:
        return False, "is a capture, which --source file reads", ()
    return False, found.doubt or found.hint or "is no log of a format that netwatch knows", ()


def _grant(path: str) -> str:
    """How to let a user read a file."""
    try:
        group = Path(path).group()
    except (OSError, KeyError):
        group = "adm"
    return f"add the user to the group of the file: usermod -aG {group} USER"
