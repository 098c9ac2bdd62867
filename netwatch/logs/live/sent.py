"""What senders send: a log for each program on each host, whose format its records show."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from netwatch.core.statistics import RunStatistics
from netwatch.logs.carriers import Carriers
from netwatch.logs.live.record_reading import RecordReading
from netwatch.logs.live.written import frame_format
from netwatch.logs.log_reader import LogItem
from netwatch.logs.options import LogOptions
from netwatch.logs.reading import PLAIN, Carried, RecordError
from netwatch.logs.receiving.receivers import Received
from netwatch.logs.recognise import recognise_head
from netwatch.logs.times import LocalTimes

MAX_SENT_LOGS = 1024
"""Programs on hosts whose records are read at a time; the one that was silent longest gives way."""

MAX_HELD = 200
"""Records of a program that wait until its format is known."""

Key = tuple[str, str, str, str]


class _SentLog:
    """The records of one program: those that wait until the format is known, then its reading."""

    __slots__ = ("held", "is_other", "reading", "since")

    def __init__(self) -> None:
        self.reading: RecordReading | None = None
        self.held: list[tuple[int, bytes, bytes, Carried]] = []
        self.is_other = False
        self.since = 0


class SentLogs:
    """Reads what `netwatch.logs.receiving.receivers` receives.

    `others` counts records of programs whose format is none that is known, `evicted` logs that gave
    way to others. `notes` are sentences, which the caller may remove.
    """

    def __init__(self, options: LogOptions, statistics: RunStatistics) -> None:
        self.notes: list[str] = []
        self.others = self.evicted = 0
        self._options = options
        self._statistics = statistics
        self._numbers: dict[str, int] = {}
        self._carriers: OrderedDict[tuple[str, str], tuple[Carriers, LocalTimes]] = OrderedDict()
        self._logs: OrderedDict[Key, _SentLog] = OrderedDict()

    def __len__(self) -> int:
        return len(self._logs)

    def read(self, received: Iterable[Received], wall: int) -> list[LogItem]:
        """What records say. They are numbered by their receiver."""
        items: list[LogItem] = []
        changed: dict[int, tuple[Key, _SentLog]] = {}
        for each in received:
            source = each.receiver.text
            number = self._numbers[source] = self._numbers.get(source, 0) + 1
            try:
                inner, carried = self._without_carrier(each, wall)
            except RecordError as error:
                self._statistics.unread_records[source, str(error)] += 1
                continue
            if inner is None:
                continue
            key = source, each.sender, carried.host, carried.program
            log = self._log(key)
            if log.reading is not None:
                items += log.reading.read_inner(number, each.record, inner, carried, wall)
            else:
                self._hold(log, (number, each.record, inner, carried))
            changed[id(log)] = key, log
        for key, log in changed.values():
            items += self._settle(key, log, wall)
        return items

    def flush(self) -> Iterator[LogItem]:
        """What waits for later records: nothing more will come."""
        for log in self._logs.values():
            if log.reading is not None:
                yield from log.reading.flush()

    def _without_carrier(self, each: Received, wall: int) -> tuple[bytes | None, Carried]:
        if each.receiver.scheme == "dnstap+unix":
            return each.record, PLAIN
        carriers, times = self._carriers_of((each.receiver.text, each.sender))
        times.file_written(wall)
        return carriers.take_off(each.record) or (None, PLAIN)

    def _carriers_of(self, key: tuple[str, str]) -> tuple[Carriers, LocalTimes]:
        """What takes off what carries the records of a sender to a receiver, with its times."""
        known = self._carriers.get(key)
        if known is None:
            times = LocalTimes(self._options.zone, self._options.year)
            known = self._carriers[key] = Carriers(times), times
            if len(self._carriers) > MAX_SENT_LOGS:
                self._carriers.popitem(last=False)
        return known

    def _log(self, key: Key) -> _SentLog:
        log = self._logs.get(key)
        if log is None:
            log = self._logs[key] = _SentLog()
            name = frame_format() if key[0].startswith("dnstap") else self._options.format
            if name is not None:
                log.reading = self._reading(key, name)
            if len(self._logs) > MAX_SENT_LOGS:
                self._logs.popitem(last=False)
                self.evicted += 1
        self._logs.move_to_end(key)
        return log

    def _reading(self, key: Key, name: str) -> RecordReading:
        self._statistics.logs[name] += 1
        _, times = self._carriers_of((key[0], key[1]))
        return RecordReading(key[0], name, self._options, self._statistics, times)

    def _hold(self, log: _SentLog, record: tuple[int, bytes, bytes, Carried]) -> None:
        log.held.append(record)
        log.since += 1
        if len(log.held) > MAX_HELD:
            log.held.pop(0)
            self.others += 1

    def _settle(self, key: Key, log: _SentLog, wall: int) -> Iterator[LogItem]:
        """Recognise a log by what is held of it, and read that; say what is to be said of it."""
        if log.reading is None and (not log.is_other or log.since >= MAX_HELD):
            log.since = 0
            found = recognise_head(b"\n".join(record for _, record, _, _ in log.held) + b"\n")
            if found.format is not None:
                log.reading = self._reading(key, found.format)
                held, log.held = log.held, []
                for number, record, inner, carried in held:
                    yield from log.reading.read_inner(number, record, inner, carried, wall)
            elif len(log.held) >= MAX_HELD and not log.is_other:
                # It is looked at again now and then: a program may say other things first.
                log.is_other = True
                if what := found.doubt or found.hint:
                    self.notes.append(f"{key[0]}: what {key[3] or key[1]} sends {what}")
        if log.reading is not None:
            log.reading.file_written(wall)
            self.notes += log.reading.notes
            log.reading.notes.clear()
