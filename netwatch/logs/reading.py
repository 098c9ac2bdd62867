"""What the reader of a format is given, and what it gives: the contract of all formats.

A reader is made anew for each log (all files of one log, in order of time) and takes its records
one by one. It may keep state between records (the header of a Zeek log, a query that waits for its
answer), in tables with a limit; the last records that wait come out of `flush`.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from netwatch.core.dataclass import dataclass
from netwatch.logs.records import LogEntry
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


@dataclass(frozen=True, slots=True)
class ReaderContext:
    """What the reader of a log may ask: `times` reads times without zone or year, `source` is the
    path of the first file, for messages."""

    times: LocalTimes
    source: str = ""


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
