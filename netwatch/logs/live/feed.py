"""One feed of all logs of a capture: files that are followed, and what senders send; and whether
what a user wants to follow or receive can be read.

Files are read as far as they are behind, those that are furthest behind first, so that what several
files say of one device comes nearly in order of time even if hours are caught up on. What is
read at a time is put into order.
"""

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.flow_export.known_exporters import Exporters
from netwatch.logs import LogOptions
from netwatch.logs.live.followed_log import opened
from netwatch.logs.live.follower import MAX_LOGS, Follower
from netwatch.logs.live.receivers import MAX_CONNECTIONS, Receivers
from netwatch.logs.live.source import is_receiver, parse
from netwatch.logs.live.written import MAX_SENT_LOGS, SentLogs, WrittenLog, head_of, recognised
from netwatch.logs.log_reader import LogItem
from netwatch.logs.recognise import NEITHER
from netwatch.logs.records import time_of
from netwatch.logs.registry import LOG_FORMATS
from netwatch.logs.times import SECOND

POLL_SECONDS = 0.1
"""How often files are looked at."""

PATIENCE = 2.0
"""Seconds after which it is said that a file cannot be read."""

TOGETHER = SECOND
"""How close the last record of a file has to be to that of the file furthest behind to be read
together with it, ns."""


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
        self._sent = SentLogs(options, statistics, receivers.exporters)
        self._written: dict[str, WrittenLog] = {}
        self._next_poll = 0.0
        self._told: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._tell_problems(time.monotonic(), at_once=True)

    def reload(self, exporters: Exporters | None) -> None:
        """Take flow records of other exporters from now on."""
        self._receivers.exporters = exporters
        self._sent.reload(exporters)

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
        sources = [self._follower.notes, self._receivers.notes, self._sent.notes]
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
    return _several(argument, paths) if paths != [argument] else _one(argument)


def _several(argument: str, paths: list[str]) -> Examined:
    """A folder or a pattern: each log that is recognised in it."""
    try:
        if Path(argument).is_dir():
            os.listdir(argument)  # noqa: PTH208
    except OSError as error:
        return False, f"cannot be read: {error.strerror}", (_grant(argument),)
    found = [(path, _one(path)) for path in paths]
    known = [f"{Path(path).name}: {text}" for path, (is_ok, text, _) in found if is_ok]
    text = "; ".join(known) if known else "has no log yet; files that appear are read"
    return True, text, ()


def _one(path: str) -> Examined:
    try:
        file = opened(path)
    except FileNotFoundError:
        return False, "there is no such file; it is read once it appears", ()
    except OSError as error:
        return False, f"cannot be read: {error.strerror}", (_grant(path),)
    with closing(file):
        head = head_of(file)
        found = recognised(file, head, None)
        if found == NEITHER and file.container == "sqlite":
            time.sleep(_MOMENT)
            found = recognised(file, head, None)
            if found == NEITHER:
                text = "a database that is being written; it is read as soon as that has ended"
                return True, text, ()
    if found.format is not None:
        return True, f"a log of {LOG_FORMATS[found.format].title}", ()
    if not head:
        return not found.doubt, found.doubt or "is empty so far", ()
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
