"""One feed of all logs of a capture: files that are followed, and what senders send.

Files are read as far as they are behind, those that are furthest behind first, so that what several
files say of one device comes nearly in order of time even if hours are caught up on. What is
read at a time is put into order. What senders send is a log for each program on each host, whose
format its records show.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from netwatch.core.statistics import RunStatistics
from netwatch.logs.carriers import Carriers
from netwatch.logs.live.follower import Follower
from netwatch.logs.live.receivers import Received, Receivers
from netwatch.logs.live.written import RecordReading, WrittenLog, frame_format
from netwatch.logs.log_files import LogItem
from netwatch.logs.reading import PLAIN, Carried, RecordError
from netwatch.logs.recognise import recognise_head
from netwatch.logs.records import time_of
from netwatch.logs.times import SECOND, LocalTimes, LogOptions

MAX_SENT_LOGS = 1024
"""Programs on hosts whose records are read at a time; the one that was silent longest gives way."""

MAX_HELD = 200
"""Records of a program that wait until its format is known."""

Key = tuple[str, str, str, str]

POLL_SECONDS = 0.1
"""How often files are looked at."""

PATIENCE = 2.0
"""Seconds after which it is said that a file cannot be read."""

TOGETHER = SECOND
"""How close the last record of a file has to be to that of the file furthest behind to be read
together with it, ns."""


class _SentLog:
    """The records of one program: those that wait until the format is known, then its reading."""

    __slots__ = ("held", "is_other", "reading", "since")

    def __init__(self) -> None:
        self.reading: RecordReading | None = None
        self.held: list[tuple[int, bytes, bytes, Carried]] = []
        self.is_other = False
        self.since = 0


class SentLogs:
    """Reads what `netwatch.logs.live.receivers` receives.

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


class LogFeed:
    """Reads the logs of `paths` and what `receivers` get. `saved` says how far logs were read by an
    earlier run. Counts of records go to `statistics`.

    `is_behind` says whether there was more to read than was read the last time. `notes` are
    sentences, which the caller may remove.
    """

    def __init__(
        self,
        paths: Sequence[str],
        receivers: Receivers,
        options: LogOptions,
        statistics: RunStatistics,
        saved: Mapping[str, str],
    ) -> None:
        self.notes: list[str] = []
        self.is_behind = False
        self._paths = frozenset(paths)
        self._receivers = receivers
        self._options = options
        self._statistics = statistics
        self._follower = Follower(paths, saved, time.monotonic())
        self._sent = SentLogs(options, statistics)
        self._written: dict[str, WrittenLog] = {}
        self._next_poll = 0.0
        self._told: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._tell_problems(time.monotonic(), at_once=True)

    @property
    def unreadable(self) -> dict[str, str]:
        """The files that the user has named and that cannot be read now, and why."""
        return self._follower.unreadable | {
            path: log.problem for path, log in self._written.items() if log.problem
        }

    @property
    def dropped(self) -> int:
        """Datagrams that the kernel dropped because they were not read in time."""
        return self._receivers.dropped

    @property
    def events(self) -> Counter[str]:
        """What happened to files and connections, by name."""
        events = self._follower.events + self._receivers.events
        events["records-of-others"] += self._sent.others
        return +events

    @property
    def tables(self) -> dict[str, tuple[int, int, int]]:
        """How full the tables are: entries, limit, evictions."""
        from netwatch.logs.live.follower import MAX_LOGS
        from netwatch.logs.live.receivers import MAX_CONNECTIONS

        evicted = self._receivers.events["connection-evicted"]
        return {
            "logs": (len(list(self._follower.logs)), MAX_LOGS, 0),
            "log_senders": (len(self._sent), MAX_SENT_LOGS, self._sent.evicted),
            "log_connections": (len(self._receivers), MAX_CONNECTIONS, evicted),
        }

    def context(self) -> list[LogItem]:
        """What was said before the positions in the files, in order of time: it was judged before,
        and only tells what later records belong to."""
        wall = time.time_ns()
        items = [item for log in self._follower.logs for item in self._log(log.path).context(wall)]
        return sorted(items, key=_time)

    def read(self, timeout: float) -> list[LogItem]:
        """What is said within `timeout` s, in order of time."""
        now = time.monotonic()
        wait = min(timeout, max(0.0, self._next_poll - now))
        received = self._receivers.poll(0 if self.is_behind else wait, now)
        wall = time.time_ns()
        items = self._sent.read(received, wall)
        now = time.monotonic()
        if self.is_behind or now >= self._next_poll:
            self._next_poll = now + POLL_SECONDS
            items += self._read_files(now, wall)
        self._collect_notes()
        return sorted(items, key=_time)

    def take_positions(self) -> dict[str, str | None]:
        """How far files were read, as far as that has changed since the last call."""
        return self._follower.take_positions()

    def finish(self, *, resuming: bool) -> list[LogItem]:
        """What waits for a later record, at the end. If the next run goes on with the files
        (`resuming`), that of files is left for it."""
        items = list(self._sent.flush())
        if not resuming:
            for written in self._written.values():
                items += written.flush()
        return sorted(items, key=_time)

    def close(self) -> None:
        """Close files and sockets."""
        self._follower.close()
        self._receivers.close()

    def _read_files(self, now: float, wall: int) -> list[LogItem]:
        ready = [self._log(log.path) for log in self._follower.poll(now)]
        self.is_behind = False
        items: list[LogItem] = []
        until: int | None = None
        for log in sorted(ready, key=lambda log: log.last):
            if until is not None and log.last > until:
                self.is_behind = True
                break
            last = log.last
            found = log.read(wall)
            if found is not None:
                items += found
                self.is_behind = True
                until = last + TOGETHER if last and until is None else until
        return items

    def _log(self, path: str) -> WrittenLog:
        log = self._follower.log(path)
        written = self._written.get(path)
        if written is None or written.log is not log:
            written = self._written[path] = WrittenLog(
                log, self._options, self._statistics, is_named=path in self._paths
            )
        return written

    def _collect_notes(self) -> None:
        sources = [self._follower.notes, self._sent.notes]
        sources += [written.notes for written in self._written.values() if written.notes]
        for notes in sources:
            self.notes += notes
            notes.clear()
        self._tell_problems(time.monotonic())

    def _tell_problems(self, now: float, *, at_once: bool = False) -> None:
        """Say what cannot be read, and when that has ended. A rotation leaves no file for a
        moment."""
        problems = self.unreadable
        for path in self._told.keys() - problems.keys():
            del self._told[path]
            self.notes.append(f"{path}: is read now")
        self._since = {path: self._since.get(path, now) for path in problems}
        for path, problem in problems.items():
            if self._told.get(path) != problem and (at_once or now - self._since[path] >= PATIENCE):
                self._told[path] = problem
                self.notes.append(f"{path}: {problem}")


def _time(item: LogItem) -> int:
    return time_of(item.entry)
