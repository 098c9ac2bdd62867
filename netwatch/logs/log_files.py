"""The logs among the files that a user named, and what their records report, in order of time.

`divide` tells captures from logs by their content, and groups files that are one log. `items` reads
one log. This is the engine's view of logs.

Programs and logrotate put a number or a date into the name of a full file: ``dns.log.1``,
``dns.log-20261127.gz``, ``dns.00:00:00-01:00:00.log.gz`` (Zeek), ``eve-2026-11-27.json``. Files in
one folder with the same name without these, and the same format, are one log.

Programs write a record when they know all of it: a flow when it has ended, an answer when it came.
So records are nearly in the order of their times, and records of several files are not at all; a
bounded buffer sorts them as far as it can.

The files of one log are read one after the other. The reader of the format continues from file to
file: a question from before a rotation may be answered after it.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import cast

from netwatch.capture.compression import COMPRESSIONS
from netwatch.capture.files import STDIN, CaptureFile, has_capture_name, may_be_text
from netwatch.core.errors import CaptureError
from netwatch.core.statistics import RunStatistics
from netwatch.core.text import quantity
from netwatch.coverage.flow_visibility import FLOW_RECORD_LOGS, TRAFFIC_LOGS
from netwatch.flow_export.conversations import Conversation, Place, note_place
from netwatch.logs import LogOptions
from netwatch.logs.log_file import Interest, LogFile, Progress
from netwatch.logs.log_reader import UNREAD_SHARE, LogItem, LogReader
from netwatch.logs.ordering import Rows, RowSink, in_order
from netwatch.logs.plain_lines import PlainLines
from netwatch.logs.recognise import Recognised, fits, recognise
from netwatch.logs.records import PLAIN, LogClaim, LogEntry, LogFlow, LogFlows, LogName, time_of
from netwatch.logs.registry import LOG_FORMATS

_COMPRESSED = frozenset({"gz", "bz2", "xz", "zst", "lz4", *COMPRESSIONS})
_DATE = re.compile(
    r"[._-]?(?:19|20)\d\d[._-]?\d\d[._-]?\d\d(?:[T._-]?\d\d[:._-]?\d\d(?:[:._-]?\d\d)?)?(?!\d)"
)
_HOURS = re.compile(r"[._-]\d\d[:_]\d\d[:_]\d\d(?:-\d\d[:_]\d\d[:_]\d\d)?")
_EPOCH = re.compile(r"[._-]1\d{9}(?!\d)")
_NUMBER = re.compile(r"[.-]\d{1,4}(?=\.|$)")

__all__ = ["Log", "LogItem", "LogOptions", "divide", "items"]

RECORDS_TO_DATE = 2000
"""Records of a file, the first of which with a time tells where the file belongs."""


def log_name(path: str) -> tuple[str, str]:
    """The folder of a file, and its name without what rotation has put into it."""
    folder, _, name = path.rpartition("/")
    parts = name.split(".")
    while len(parts) > 1 and parts[-1].lower() in _COMPRESSED:
        parts.pop()
    name = ".".join(parts)
    for each in (_DATE, _HOURS, _EPOCH, _NUMBER):
        name = each.sub("", name)
    return folder, name


MESSAGES = 64
"""Messages of flow records that are read at a time."""


class FilesReader:
    """Reads the files of one log, in the format `name`, in order of time. Counts go to
    `statistics`."""

    def __init__(
        self,
        files: Sequence[CaptureFile],
        name: str,
        options: LogOptions,
        statistics: RunStatistics,
        progress: Progress | None = None,
    ) -> None:
        self._files = files
        self._statistics = statistics
        self._progress = progress
        self._reader = LogReader(files[0].path, name, options)
        self._plain: PlainLines | None = None
        # Files without a useful record, and how many records were read.
        self._silent: list[tuple[CaptureFile, int]] = []

    @property
    def is_alone(self) -> bool:
        """Whether no record so far belongs to another, or claims an address."""
        return self._reader.is_alone

    def items(
        self, interest: Interest, *, is_first_pass: bool = False, limit: int | None = None
    ) -> Iterator[LogItem]:
        """What the records report, in the order of the records; of each file the first `limit` that
        pass."""
        found = self.items_and_rows(interest, is_first_pass, limit)
        return cast("Iterator[LogItem]", found)

    def items_and_rows(
        self,
        interest: Interest,
        is_first_pass: bool = False,
        limit: int | None = None,
        with_rows: bool = False,
    ) -> Iterator[LogItem | Rows]:
        """The same, where plain lines are rows if they may be `with_rows`."""
        item, waited = None, False
        for file in self._files:
            for found in self._items_of(file, interest, is_first_pass, limit, with_rows):
                if isinstance(found, LogItem):
                    item = found
                yield found
        for entry in self._reader.flush():
            # Anything that waited for a later record is shown at the last one.
            waited = True
            source, line, record = self._files[-1].path, 0, b""
            if item is not None:
                source, line, record = item.source, item.line, item.record
            if isinstance(entry, LogFlows):
                is_doubted = self._reader.is_doubted
                note_place(entry.conversations, Place(source, line, record, is_doubted))
            if isinstance(entry, LogName) and (at := entry.shown_at) is not None:
                source, line, record = at.source, at.line, at.record
            yield LogItem(source, self._reader.name, line, record, entry, self._reader.assumed)
        self._note_assumptions()
        if not waited:
            self._note_silent()

    def _items_of(
        self,
        file: CaptureFile,
        interest: Interest,
        is_first_pass: bool,
        limit: int | None,
        with_rows: bool,
    ) -> Iterator[LogItem | Rows]:
        reader = self._reader
        read, said = 0, reader.said
        lines = interest.lines(reader.format, is_first_pass)
        log_file = LogFile(file, reader.format, self._statistics, self._progress)
        reader.begin_file(file.path, log_file.written())
        plain = self._plain_lines if with_rows else None
        with closing(log_file.records(lines, plain)) as records:
            numbered = islice(records, limit)
            while reader.format.container == "ipfix" and (
                messages := [*islice(numbered, MESSAGES)]
            ):
                read += len(messages)
                for item in reader.read_flows(cast("list[tuple[int, bytes]]", messages), PLAIN):
                    if interest.wants(item.entry):
                        yield item
            for line, record in numbered:
                if isinstance(record, Rows):
                    read += line
                    reader.count_plain(line, record)
                    yield record
                    continue
                read += 1
                for item in reader.read(line, record):
                    # With rows, only names matter.
                    if interest.wants(item.entry) and not (
                        with_rows and not isinstance(item.entry, LogName)
                    ):
                        yield item
                    if (
                        not lines.passes_all
                        and not is_first_pass
                        and self._is_for_all(item.entry, interest)
                    ):
                        lines.pass_all()
                if reader.has_pieces:
                    lines.pass_all()
        if log_file.is_read:
            self._statistics.logs[reader.name] += 1
            if read and reader.said == said and not reader.unread:
                self._silent.append((file, read))
        self._judge(file.path, read)

    def _plain_lines(self) -> PlainLines | None:
        self._plain = self._reader.plain_lines(self._plain)
        return self._plain

    def _is_for_all(self, entry: LogEntry, interest: Interest) -> bool:
        """Whether an entry shows that this file has records that are read whatever names they have,
        and no text that marks them."""
        if isinstance(entry, LogClaim):
            return not self._reader.format.always
        return isinstance(entry, LogFlow) and interest.all_flows and not self._reader.format.flows

    def _judge(self, path: str, read: int) -> None:
        """Count what could not be read in a file, and name it if that is too much."""
        self._statistics.anomalies.update(self._reader.take_anomalies())
        unread, self._reader.unread = self._reader.unread, Counter()
        for reason, count in unread.items():
            self._statistics.unread_records[path, reason] += count
        total = unread.total()
        if total * UNREAD_SHARE > read:
            reasons = ", ".join(f"{reason} {n:,}" for reason, n in unread.most_common())
            self._statistics.unread.append(
                f"{path}: {total:,} of {quantity(read, 'examined record')} could"
                f" not be read as {self._reader.format.title} ({reasons}); --as names another"
                " format"
            )

    def _note_silent(self) -> None:
        """Name the files without a useful record: as unreadable if they do not even look like the
        format, because the user named it."""
        title = self._reader.format.title
        for file, read in self._silent:
            records = f"none of {quantity(read, 'examined record')}"
            if not fits(file, self._reader.name):
                self._statistics.unread_records[file.path, "record-of-another-format"] += read
                self._statistics.unread.append(
                    f"{file.path}: {records} is one of {title}; without --as the format is"
                    " recognised by the content"
                )
            elif file.named_by_user:
                self._statistics.notes.append(
                    f"{file.path}: {records} has a name, a flow or an address"
                )

    def _note_assumptions(self) -> None:
        path, notes = self._files[0].path, self._statistics.notes
        if "time-zone" in self._reader.assumed:
            notes.append(f"{path}: times without a zone were read as UTC; --timezone sets another")
        if "year" in self._reader.assumed:
            notes.append(
                f"{path}: the year of times follows from when the file was written; --year sets"
                " another"
            )


@dataclass(frozen=True, slots=True)
class Log:
    """One log: its files in order of time, and the format of each."""

    files: tuple[CaptureFile, ...]
    formats: tuple[str, ...]


def divide(
    files: Sequence[CaptureFile], options: LogOptions
) -> tuple[list[CaptureFile], list[Log]]:
    """The captures among files, with what else to report as unread or skipped, and the logs. With
    ``--only`` the other kind is left out."""
    captures: list[CaptureFile] = []
    logs: list[tuple[CaptureFile, str]] = []
    for file in files:
        found = _recognise(file, options)
        if isinstance(found, CaptureFile):
            captures.append(found)
        elif found.is_capture:
            if options.only != "logs":
                captures.append(file)
        elif found.format is not None:
            logs.append((file, found.format))
        else:
            captures.append(file)
    return captures, _together(logs, options)


def items(
    log: Log,
    options: LogOptions,
    statistics: RunStatistics,
    *,
    zones: Collection[bytes] | None,
    all_flows: bool = True,
    progress: Progress | None = None,
) -> Iterator[LogItem]:
    """What the records of a log report, in order of time. With `zones` only what may be of interest
    for names in one of these domains (names of no interest come, too), all claims, and, with
    `all_flows`, all flows; with None everything."""
    found = items_and_sink(log, options, statistics, None, zones, all_flows, progress)
    return cast("Iterator[LogItem]", found)


def items_and_sink(
    log: Log,
    options: LogOptions,
    statistics: RunStatistics,
    sink: RowSink | None,
    zones: Collection[bytes] | None = None,
    all_flows: bool = True,
    progress: Progress | None = None,
) -> Iterator[LogItem | RowSink]:
    """The same, where plain lines are rows of the `sink`, which comes itself when it is full."""
    sequences = _sequences(log.files, log.formats)
    interest = Interest(zones, all_flows)
    if zones is not None and any(map(_has_joined_records, log.formats)):
        if any(file.path == STDIN for file in log.files):
            interest = Interest(None)  # It can be read only once.
        else:
            _collect(sequences, options, interest)
    readers = [FilesReader(files, name, options, statistics, progress) for files, name in sequences]
    with_rows = sink is not None
    streams = [_timed(reader.items_and_rows(interest, with_rows=with_rows)) for reader in readers]
    for found in in_order(streams, statistics.anomalies, sink=sink):
        if isinstance(found, LogItem | RowSink):
            yield found
        else:
            yield LogItem("", "", 0, b"", LogFlows(found))


def _recognise(file: CaptureFile, options: LogOptions) -> Recognised | CaptureFile:
    """What a file is, or the file with what to say about it."""
    if file.error is not None:
        return file
    if options.only == "captures" or (has_capture_name(file.path) and not may_be_text(file)):
        return Recognised(is_capture=True)
    try:
        found = recognise(file, options.format)
    except CaptureError as error:
        return replace(file, error=str(error))
    if found.doubt and (file.named_by_user or not found.needs_name):
        return replace(file, error=f"{file.path}: {found.doubt}")
    if found.hint and file.named_by_user:
        return replace(file, error=f"{file.path}: {found.hint}")
    said = found.doubt or found.hint
    return replace(file, hint=said) if said else found


def _together(found: Sequence[tuple[CaptureFile, str]], options: LogOptions) -> list[Log]:
    """Files that are one log, in order of time: those of one format that were rotated, and all of
    one family in one folder. Flow records are one log together with all others, which know the
    names of their addresses; so are other logs of all flows beside logs of another format."""
    logs: dict[tuple[str, ...], list[tuple[CaptureFile, str]]] = {}
    formats = {name for _, name in found}
    are_one = not formats.isdisjoint(FLOW_RECORD_LOGS) or (
        len(formats) > 1 and not formats.isdisjoint(TRAFFIC_LOGS)
    )
    for file, name in found:
        folder, stem = log_name(file.path)
        family = LOG_FORMATS[name].family
        key: tuple[str, ...] = (folder, family) if family else (folder, name, stem)
        logs.setdefault(() if are_one else key, []).append((file, name))
    return [_in_order_of_time(log, options) for log in logs.values()]


def _in_order_of_time(found: list[tuple[CaptureFile, str]], options: LogOptions) -> Log:
    if len(found) > 1:
        found.sort(key=lambda each: _first_time(each[0], each[1], options))
    return Log(tuple(file for file, _ in found), tuple(name for _, name in found))


def _first_time(file: CaptureFile, name: str, options: LogOptions) -> int:
    """The time of the first entry in a file, in ns since the epoch; when the file was written, if
    there is none."""
    statistics = RunStatistics()
    reader = FilesReader((file,), name, options, statistics)
    for item in reader.items(Interest(None), limit=RECORDS_TO_DATE):
        entry = item.entry
        return entry.conversations[0].last if isinstance(entry, LogFlows) else time_of(entry)
    return LogFile(file, LOG_FORMATS[name], statistics).written()


def _sequences(
    files: Sequence[CaptureFile], formats: Sequence[str]
) -> list[tuple[list[CaptureFile], str]]:
    """The files that continue each other, with their format."""
    found: dict[tuple[str, str, str], list[CaptureFile]] = {}
    for file, name in zip(files, formats, strict=True):
        found.setdefault((*log_name(file.path), name), []).append(file)
    return [(each, name) for (_, _, name), each in found.items()]


def _has_joined_records(name: str) -> bool:
    row = LOG_FORMATS[name]
    has_others = row.flows or row.joins or name in FLOW_RECORD_LOGS
    return bool(has_others) and not row.encoded and not row.is_whole


def _collect(
    sequences: Sequence[tuple[list[CaptureFile], str]], options: LogOptions, interest: Interest
) -> None:
    """Read a log once to learn what the records of interest have in common with others, if any
    of the log do."""
    are_alone = True
    for files, name in sequences:
        if name in FLOW_RECORD_LOGS:
            are_alone = False
            continue
        reader = FilesReader(files, name, options, RunStatistics())
        for item in reader.items(interest, is_first_pass=True):
            interest.add(item.entry, item.record, LOG_FORMATS[name])
        are_alone = are_alone and reader.is_alone
    if not are_alone:
        interest.ask_for_words()


def _timed(
    found: Iterable[LogItem | Rows],
) -> Iterator[tuple[int, LogItem | list[Conversation] | Rows]]:
    for item in found:
        if isinstance(item, Rows):
            yield 0, item
            continue
        entry = item.entry
        if isinstance(entry, LogFlows):
            yield 0, entry.conversations
        else:
            yield time_of(entry), item
