"""What the reader of a format is given, and what it gives: the contract of all formats.

A reader is made anew for each log (all files of one log, in order of time) and takes its records
one by one. It may keep state between records (the header of a Zeek log, a query that waits for its
answer), in tables with a limit; the last records that wait come out of `flush`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from netwatch.core.flow import MAX_RECORD
from netwatch.logs.records import LogEntry, LogName, Place
from netwatch.logs.times import LocalTimes


class RecordError(Exception):
    """A record cannot be read. The argument is the reason: a constant of a few words in the form
    ``field-missing``, under which such records are counted."""


class Carried(NamedTuple):
    """What carried a line and was taken off it: the time that the carrier gives (ns since the
    epoch, None where it has none) with its digits after the second, the host name of the sender,
    and the name of the program (``dnsmasq``), both empty where it has none."""

    time: int | None = None
    time_digits: int = 0
    host: str = ""
    program: str = ""


PLAIN = Carried()
"""Nothing carried the line."""


MAX_PARTS = 64
"""Records of one answer or event whose places are kept; further ones are no evidence."""


MAX_PIECES = 16
"""Pieces of a record whose places are kept, the last ones."""


class CurrentRecord:
    """The record that is being read, as it is in the file; `line` is 0 where it is in none. Who
    reads a log sets it. What carried a record may have divided it: the pieces before the last are
    kept until that has been read."""

    __slots__ = ("_pieces", "line", "record", "source")

    def __init__(self) -> None:
        self.source = ""
        self.line = 0
        self.record = b""
        self._pieces: list[Place] = []

    def keep_piece(self) -> None:
        """The record is a piece of one whose end comes later."""
        place = self.place()
        if place is not None:
            self._pieces = [*self._pieces, place][-MAX_PIECES:]

    def with_pieces(self, entries: Iterable[LogEntry]) -> Iterable[LogEntry]:
        """What the record says, with the pieces of it that came before as parts."""
        return self._with_parts(entries) if self._pieces else entries

    def _with_parts(self, entries: Iterable[LogEntry]) -> Iterator[LogEntry]:
        pieces = self._pieces
        for entry in entries:
            # Until then they may be of another stream than what was read.
            self._pieces = []
            if isinstance(entry, LogName):
                time, digits = entry.time, entry.time_digits
                parts = [piece._replace(time=time, time_digits=digits) for piece in pieces]
                entry = replace(entry, parts=(*entry.parts, *parts))
            yield entry

    def place(self, time: int = 0, digits: int = 0) -> Place | None:
        """Where it is, with its time in ns and the digits of that, for a reader that shows what
        it says only at a later one. None where it is in no file."""
        if not self.line:
            return None
        record = self.record
        size = len(record)
        if size > MAX_RECORD:
            record = record[:MAX_RECORD]
        return Place(self.source, self.line, time, digits, record, size)


@dataclass(frozen=True, slots=True)
class ReaderContext:
    """What the reader of a log may ask: `times` reads times without zone or year, `source` is the
    path of the first file, for messages, `current` says where the record is that is being read."""

    times: LocalTimes
    source: str = ""
    current: CurrentRecord = field(default_factory=CurrentRecord, compare=False)


class RecordReader(Protocol):
    """Reads the records of one log."""

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """What a record says, without its line ending and without what carried it; nothing for
        records that are of no concern here (comments, other messages of the program). Raises
        `RecordError` where it should say something and cannot be read."""
        ...

    def flush(self) -> Iterable[LogEntry]:
        """What waits for a later record that did not come: the log has ended."""
        ...


class Sample(NamedTuple):
    """The head of a file, by which its format is recognised: the first bytes after decompression,
    the complete lines in them without what carried them, what that was, and for each line the JSON
    object that it is, None where it is none. Of other containers the lines are the first records,
    of an SQLite database the names of its tables."""

    head: bytes
    lines: tuple[bytes, ...]
    carried: tuple[Carried, ...]
    objects: tuple[dict[str, object] | None, ...]
