"""Logs that are written or sent now: the log of one followed path, and those of the programs that
send to receivers. Each is one log with a reader, once its format is known: that of a file by its
head, that of a program by the records that wait until then.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator

from netwatch.capture.files import is_capture
from netwatch.core.errors import RecordError
from netwatch.core.statistics import RunStatistics
from netwatch.core.text import quantity
from netwatch.flow_export.known_exporters import Exporters, KnownExporter
from netwatch.logs import LogOptions, log_stream
from netwatch.logs.carriers import Carriers
from netwatch.logs.dnstap import is_frame_streams
from netwatch.logs.live.followed_database import FollowedDatabase
from netwatch.logs.live.followed_file import FollowedFile, divide_lines
from netwatch.logs.live.followed_log import FollowedLog
from netwatch.logs.live.source import FLOW_RECORDS, UNIX, Batch, ReceiverAddress
from netwatch.logs.log_reader import UNREAD_SHARE, LogItem, LogReader
from netwatch.logs.log_stream import NUL_BYTES
from netwatch.logs.recognise import SAMPLE_BYTES, Recognised, recognise_head, recognise_tables
from netwatch.logs.records import BRIEFLY, PLAIN, Carried, time_of
from netwatch.logs.registry import LOG_FORMATS
from netwatch.logs.times import LocalTimes

JUDGED_RECORDS = 100
"""Records after which it is said that too many cannot be read."""

TRIED_LINES = 20
"""Lines of a named file after which it is a trouble that no format is recognised: a program that
was started says other things first."""

CONTEXT = 1 << 20
"""Bytes before the position that are read again after a start, to know what later records belong
to: queries that wait for their answers, addresses of devices, flows. They are not judged again."""

MAX_SENT_LOGS = 1024
"""Programs on hosts whose records are read at a time; the one that was silent longest gives way."""

MAX_HELD = 200
"""Records of a program that wait until its format is known."""

_EVENT_LOG = (
    "is a Windows event log, which is only scanned: Windows keeps new events back for a while, and"
    " starts the file again when it is full. Winlogbeat, NXLog or Windows Event Forwarding write"
    " the same events as JSON, which is followed"
)
_UNKNOWN_SO_FAR = "no format is recognised in what it has so far; --as names one"
_UNKNOWN = "is no log of a format that netwatch knows; --as names one"
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")


class LiveLog:
    """A log from `source`, a path or the address of a receiver. Counts go to `statistics`; `notes`
    are sentences, which the caller may remove. `times` read what carries the records, too, where
    that is taken off elsewhere.

    A year that times lack is no assumption here: the records are written now. A zone is one.
    """

    def __init__(
        self,
        source: str,
        options: LogOptions,
        statistics: RunStatistics,
        times: LocalTimes | None = None,
    ) -> None:
        self.source = source
        self.notes: list[str] = []
        self.reader: LogReader | None = None
        self._options = options
        self._statistics = statistics
        self._times = times
        self._records = self._unread = 0
        self._is_judged = self._is_assumed = False

    def begin(self, name: str) -> LogReader:
        """The reader of the log, whose format is known now."""
        self._statistics.logs[name] += 1
        times = self._times or LocalTimes(self._options.zone, self._options.year)
        self.reader = LogReader(self.source, name, self._options, times=times)
        return self.reader

    def items(self, batch: Batch, wall: int) -> list[LogItem]:
        """What the records of a batch say. `wall` is the time now."""
        reader = self.reader
        assert reader is not None
        reader.begin_file(self.source, wall)
        reader.written_by = wall
        items: list[LogItem] = []
        for number, record in batch.numbered():
            if record:
                items += reader.read(number, record)
        return items

    def flush(self) -> Iterator[LogItem]:
        """What waits for a later record: nothing more will come."""
        if self.reader is not None:
            yield from map(self.reader.item, self.reader.flush())

    def count(self, *, is_new: bool = True) -> None:
        """Count what was read, unless it had been counted before, and say once where too much of it
        cannot be read, and what is assumed."""
        reader = self.reader
        assert reader is not None
        unread, taken = reader.unread, reader.taken
        reader.unread, reader.taken = Counter(), 0
        anomalies = reader.take_anomalies()
        self.notes += (f"{self.source}: {note}" for note in reader.take_notes())
        if is_new:
            self._statistics.anomalies.update(anomalies)
            self._statistics.records += taken
            for reason, count in unread.items():
                self._statistics.unread_records[self.source, reason] += count
        self._records += taken
        self._unread += unread.total()
        title, of_all = reader.format.title, quantity(self._records, "record")
        is_bad = self._unread * UNREAD_SHARE > self._records
        if not self._is_judged and self._records >= JUDGED_RECORDS:
            if not reader.said and not self._unread:
                self._is_judged = True
                said = f"none of {of_all} so far can be read as {title}"
            elif is_bad:
                self._is_judged = True
                said = f"{self._unread:,} of {of_all} could not be read as {title}"
            if self._is_judged:
                self.notes.append(f"{self.source}: {said}; --as names another format")
        if reader.times.assumed_zone and not self._is_assumed:
            self._is_assumed = True
            self.notes.append(
                f"{self.source}: times without a zone are read as UTC; --timezone sets another"
            )
        if not is_new:
            self._records = self._unread = 0


class WrittenLog(LiveLog):
    """The log at a path, which is followed by `log`. With `is_named` the user has written this
    path, and it is said where it is no log; other files of a folder are left out.

    `last` is the time of the last record that was read, ns since the epoch, 0 before the first.
    `problem` says why it is no log that can be read, empty where it is.
    """

    def __init__(
        self, log: FollowedLog, options: LogOptions, statistics: RunStatistics, *, is_named: bool
    ) -> None:
        super().__init__(log.path, options, statistics)
        self.log = log
        self.last = 0
        self.is_left_out = False
        self.problem = ""
        self._is_named = is_named
        self._examined = -1

    def context(self, wall: int) -> list[LogItem]:
        """What was said before the position, which is not to be judged."""
        file = next(iter(self.log.files), None)
        if file is None or file.position.offset == 0 or not self._recognise(file):
            return []
        assert self.reader is not None
        if file.container != "lines":
            return []
        head = divide_lines(file.head(min(SAMPLE_BYTES, file.position.offset))).records
        headers = [*filter(self.reader.format.is_always_read, head)]
        before = divide_lines(file.before(CONTEXT)).records
        items: list[LogItem] = []
        for line in headers:
            items += self.items(Batch(0, [line]), wall)
        items += self.items(Batch(file.position.line - len(before) + 1, before), wall)
        # These records were counted when they were read.
        self.count(is_new=False)
        return items

    def read(self, wall: int) -> list[LogItem] | None:
        """What the next records say; None if there are none now."""
        if self.is_left_out:
            self.log.skip()
            return None
        file = next((file for file in self.log.files if file.has_changed()), None)
        if self.reader is None and (file is None or not self._recognise(file)):
            return None
        batch = self.log.read()
        if batch is None:
            return None
        if batch.nul_runs:
            self._statistics.anomalies[NUL_BYTES] += batch.nul_runs
        for reason in batch.unread:
            self._statistics.unread_records[self.source, reason] += 1
        items = self.items(batch, wall)
        if items:
            self.last = max(self.last, max(min(time_of(item.entry), wall) for item in items))
        self.count()
        return items

    def _recognise(self, file: FollowedFile) -> bool:
        """Whether the format is known, by the head of a file."""
        if self.reader is not None:
            return True
        head = head_of(file)
        if not isinstance(file, FollowedDatabase):
            if len(head) == self._examined:
                return False
            self._examined = len(head)
        found = recognised(file, head, self._options.format)
        if found.format is not None:
            self.begin(found.format)
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
                self.notes.append(f"{self.source}: {reason}")


def head_of(file: FollowedFile) -> bytes:
    """The bytes by which the format of a file is recognised; none of a database."""
    return b"" if isinstance(file, FollowedDatabase) else file.text_head(SAMPLE_BYTES)


def recognised(file: FollowedFile, head: bytes, named: str | None) -> Recognised:
    """What a file with these first bytes is, as far as it can be followed; of the format `named`,
    if given."""
    if isinstance(file, FollowedDatabase):
        return _recognised_database(file, named)
    if is_capture(head[:8]):
        return Recognised(is_capture=True)
    if head.startswith(log_stream.MAGIC):
        return Recognised(doubt=_EVENT_LOG)
    if head.startswith(_PACKED):
        return Recognised(doubt="is compressed, so that nothing is added to it: scan reads it")
    if named is not None:
        return Recognised(format=named)
    if is_frame_streams(head):
        return Recognised(format="dnstap")
    return recognise_head(head)


def _recognised_database(database: FollowedDatabase, named: str | None) -> Recognised:
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


class _SentLog(LiveLog):
    """The log of one program, whose records wait until the format is known."""

    def __init__(
        self, source: str, options: LogOptions, statistics: RunStatistics, times: LocalTimes
    ) -> None:
        super().__init__(source, options, statistics, times)
        self.held: list[tuple[int, bytes, bytes, Carried]] = []
        self.is_other = False
        self.since = 0
        self.heard = 0


class SentLogs:
    """Reads what `netwatch.logs.live.receivers` receives, which is a log for each program on each
    host.

    What is known of who exports flow records is in `exporters`. `others` counts records of programs
    whose format is none that is known, `evicted` logs that gave way to others. `notes` are
    sentences, which the caller may remove.
    """

    def __init__(
        self,
        options: LogOptions,
        statistics: RunStatistics,
        exporters: Exporters | None = None,
    ) -> None:
        self.notes: list[str] = []
        self.others = self.evicted = 0
        self._exporters = exporters
        self._options = options
        self._statistics = statistics
        # What takes off what carries the records of a sender to a receiver, with its times.
        self._carriers: OrderedDict[tuple[str, str], tuple[Carriers, LocalTimes]] = OrderedDict()
        self._logs: OrderedDict[tuple[str, str, str, str], _SentLog] = OrderedDict()

    def __len__(self) -> int:
        return len(self._logs)

    def read(self, received: Iterable[Batch], wall: int) -> list[LogItem]:
        """What records say."""
        items: list[LogItem] = []
        changed: dict[int, tuple[str, _SentLog]] = {}
        for batch in received:
            receiver = batch.receiver
            assert receiver is not None
            carriers, times = self._carriers_of(receiver.text, batch.sender)
            times.file_written(wall)
            if receiver.scheme.format == FLOW_RECORDS:
                log = self._log(receiver, batch.sender, Carried(host=batch.sender), times)
                items += self._flows(log, batch, wall)
                changed[id(log)] = batch.sender, log
                continue
            for number, record in batch.numbered():
                taken: tuple[bytes, Carried] | None = record, PLAIN
                try:
                    if receiver.scheme.format is None:
                        taken = carriers.take_off(record)
                except RecordError as error:
                    self._statistics.unread_records[receiver.text, str(error)] += 1
                    continue
                if taken is None:
                    continue
                inner, carried = taken
                log = self._log(receiver, batch.sender, carried, times)
                log.heard = wall
                if log.reader is not None:
                    log.reader.written_by = wall
                    items += log.reader.read_inner(number, record, inner, carried)
                else:
                    self._hold(log, (number, record, inner, carried))
                changed[id(log)] = carried.program or batch.sender, log
        for name, log in changed.values():
            items += self._settle(name, log, wall)
        for log in self._logs.values():
            if log.heard and log.heard + BRIEFLY < wall and log.reader is not None:
                log.heard = 0
                if log.reader.waits_briefly:
                    items += log.flush()
        return items

    def _flows(self, log: _SentLog, batch: Batch, wall: int) -> Iterator[LogItem]:
        """What messages of one exporter say, which came now."""
        reader = log.reader
        assert reader is not None
        log.heard = reader.written_by = wall
        return reader.read_flows(batch.numbered(), Carried(wall, 9, batch.sender))

    def flush(self) -> Iterator[LogItem]:
        """What waits for later records: nothing more will come."""
        for log in self._logs.values():
            yield from log.flush()

    def _carriers_of(self, receiver: str, sender: str) -> tuple[Carriers, LocalTimes]:
        known = self._carriers.get((receiver, sender))
        if known is None:
            times = LocalTimes(self._options.zone, self._options.year)
            known = self._carriers[receiver, sender] = Carriers(times), times
            if len(self._carriers) > MAX_SENT_LOGS:
                self._carriers.popitem(last=False)
        return known

    def _log(
        self, receiver: ReceiverAddress, sender: str, carried: Carried, times: LocalTimes
    ) -> _SentLog:
        key = receiver.text, sender, carried.host, carried.program
        log = self._logs.get(key)
        if log is None:
            log = _SentLog(receiver.text, self._options, self._statistics, times)
            self._logs[key] = log
            name = receiver.scheme.format or self._options.format
            if name is not None:
                log.begin(name).exporter = self._exporter(sender)
            if len(self._logs) > MAX_SENT_LOGS:
                self._logs.popitem(last=False)
                self.evicted += 1
        self._logs.move_to_end(key)
        return log

    def reload(self, exporters: Exporters | None) -> None:
        """What is known of exporters has changed."""
        self._exporters = exporters
        for (_, sender, _, _), log in self._logs.items():
            if log.reader is not None:
                log.reader.exporter = self._exporter(sender)

    def _exporter(self, sender: str) -> KnownExporter | None:
        if self._exporters is None or sender == UNIX:
            return None
        return self._exporters.of(sender)

    def _hold(self, log: _SentLog, record: tuple[int, bytes, bytes, Carried]) -> None:
        log.held.append(record)
        log.since += 1
        if len(log.held) > MAX_HELD:
            log.held.pop(0)
            self.others += 1

    def _settle(self, name: str, log: _SentLog, wall: int) -> Iterator[LogItem]:
        """Recognise a log by what is held of it, and read that; say what is to be said of it."""
        if log.reader is None and (not log.is_other or log.since >= MAX_HELD):
            log.since = 0
            found = recognise_head(b"\n".join(record for _, record, _, _ in log.held) + b"\n")
            if found.format is not None:
                reader = log.begin(found.format)
                reader.written_by = wall
                held, log.held = log.held, []
                for record in held:
                    yield from reader.read_inner(*record)
            elif len(log.held) >= MAX_HELD and not log.is_other:
                # It is looked at again now and then: a program may say other things first.
                log.is_other = True
                if what := found.doubt or found.hint:
                    self.notes.append(f"{log.source}: what {name} sends {what}")
        if log.reader is not None:
            log.count()
            self.notes += log.notes
            log.notes.clear()
