"""One open file to which a program appends: its complete records from a position on.

The file is read by its descriptor, so that it may be renamed or deleted meanwhile. All that is kept
between two readings is the position and the bytes before it, by which it is noticed that the file
was truncated and written again, however much was written since. What was appended is divided into
lines, or frames of Frame Streams. A record that is not complete yet stays where it is. The input is
of anybody who can write a log, so every record is bounded.

How far it was read is saved, in a form that recognises the file again. A file is recognised by what
stands before the position, not by its path, which a rotation gives to another file, and not by its
inode alone, which a file system gives to a new file when the old one was deleted. Of the bytes
before the position only a hash is kept, since they name people.

logrotate renames ``dns.log`` to ``dns.log.1`` (``dns.log.2`` was ``dns.log.1`` before), with
``dateext`` to ``dns.log-20261127`` or, with ``extension .log``, to ``dns-20261127.log``; newsyslog
begins at ``dns.log.0``, and programs that rotate by themselves write ``dns.log.2026-11-27`` and the
like. A suffix of a compression may follow; such files are complete, and not followed.
"""

import codecs
import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Sequence
from typing import Literal, NamedTuple

from netwatch.logs.dnstap import MAX_FRAME, FrameError, frames, is_frame_streams
from netwatch.logs.live.source import Batch
from netwatch.logs.log_stream import MAX_LINE, count_runs, line_behind, read_head
from netwatch.logs.sqlite_rows import MAGIC

MARK_SIZE = 256
"""Bytes before a position by which its file is recognised."""

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip")
"""Suffixes of compressed files."""

_NUMBERS = r"\d+(?:[-_T.:]\d+)*Z?"
_BEHIND = re.compile(rf"(?P<base>.+?)[.-](?:{_NUMBERS}|old|bak)")
_WITHIN = re.compile(rf"(?P<stem>.+?)[-_.]{_NUMBERS}(?P<extension>\.[A-Za-z]+)")


class Position(NamedTuple):
    """A file was read to `offset`, behind its record with the number `line`. `mark` is the hash of
    the `MARK_SIZE` bytes before that (all bytes if there are fewer). With `skipping` it is amid
    a line that is too long, the rest of which is no record. At offset 0, if there are no such
    bytes, `mark` is the time in ns at which the file was looked at, if that is known."""

    inode: int
    offset: int
    line: int
    mark: str
    skipping: bool = False


def mark_of(before: bytes) -> str:
    """The hash of the bytes before a position."""
    return hashlib.blake2b(before, digest_size=16).hexdigest()


def encode(positions: Sequence[Position]) -> str:
    """The positions in the files of one path, the oldest file first, as text."""
    return json.dumps([list(position) for position in positions], separators=(",", ":"))


def decode(text: str) -> tuple[Position, ...]:
    """The positions of which `encode` made a text. Raises `ValueError`."""
    rows = json.loads(text)
    if not isinstance(rows, list):
        raise ValueError("no list of positions")
    return tuple(map(_position, rows))


def _position(row: object) -> Position:
    match row:
        case [int(inode), int(offset), int(line), str(mark), bool(skipping)] if (
            min(inode, offset, line) >= 0
        ):
            return Position(inode, offset, line, mark, skipping)
    raise ValueError("no position")


def is_compressed(name: str) -> bool:
    """Whether a file has the suffix of a compression."""
    return name.endswith(COMPRESSED)


def bases(name: str) -> tuple[str, ...]:
    """The names that a file may have had before a rotation gave it this one, without a suffix of
    a compression; none if it looks like none."""
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    found = []
    if match := _BEHIND.fullmatch(name):
        found.append(match["base"])
    if match := _WITHIN.fullmatch(name):
        found.append(match["stem"] + match["extension"])
    return tuple(found)


def is_rotated_from(name: str, base: str) -> bool:
    """Whether a file looks as if a rotation of `base` had put it aside."""
    return base in bases(name)


ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
"""The encodings of text that are no UTF-8, by the first bytes of a file."""

CHUNK = 1 << 18
"""Bytes that are read at a time."""

LEAST_HEAD = 12
"""Bytes by which lines are distinguished from frames."""

Container = Literal["lines", "frame-streams", "sqlite"]


class Divided(NamedTuple):
    """The complete `records` at the beginning of some bytes, of which they are the first `size`.
    `too_long` says that what follows them is longer than a record may be."""

    records: Sequence[bytes]
    size: int
    too_long: bool = False


def divide_lines(data: bytes) -> Divided:
    """The complete lines, without their ends."""
    end = data.rfind(b"\n") + 1
    if not end:
        return Divided((), 0, len(data) > MAX_LINE)
    lines = data[: end - 1].split(b"\n")
    if b"\0" in data:
        lines = [line_behind(line) if b"\0" in line else line for line in lines]
    if b"\r" in data:
        lines = [line.removesuffix(b"\r") for line in lines]
    return Divided(lines, end)


def divide_text(data: bytes, encoding: str) -> Divided:
    """The complete lines in an encoding of `ENCODINGS`, in UTF-8. `data` begins with a whole unit
    of two bytes. What is no text is replaced."""
    line_feed = "\n".encode(encoding)
    end = data.rfind(line_feed)
    while end % 2 == 1:  # -1 is odd, too
        if end < 0:
            return Divided((), 0, len(data) > 2 * MAX_LINE)
        end = data.rfind(line_feed, 0, end + 1)
    return Divided(divide_lines(in_utf8(data[: end + 2], encoding)).records, end + 2)


def in_utf8(data: bytes, encoding: str) -> bytes:
    """Text in an encoding of `ENCODINGS` as UTF-8."""
    return data.decode(encoding, "replace").encode("utf-8", "replace")


def divide_frames(data: bytes) -> Divided:
    """The payloads of the complete data frames. Raises `FrameError` if these are no frames."""
    records = []
    size = 0
    for frame in frames(data):
        size = frame.end
        if frame.control is None:
            records.append(frame.payload)
    return Divided(records, size)


class FollowedFile:
    """The file at `path`, from `position` on, or from its beginning. Raises `OSError`.

    `container` is known once the file has its first bytes. `idle_since` is when nothing was added
    to it any more (s of a monotonic clock), if that is known.
    """

    def __init__(self, path: str, position: Position | None = None) -> None:
        self.path = path
        # A named pipe instead of a file must not keep anything waiting.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise OSError(errno.EINVAL, "it is no regular file")
        self.inode, self.device = status.st_ino, status.st_dev
        self.container: Container | None = None
        self._encoding = ""
        self.idle_since: float | None = None
        self._seen = (-1, 0)
        self._offset = self._line = 0
        self._skipping = False
        self._before = b""
        self._broken = False
        if position is not None:
            self._go_to(position.offset, position.line, position.skipping)

    @property
    def position(self) -> Position:
        """How far the file was read."""
        return Position(self.inode, self._offset, self._line, mark_of(self._before), self._skipping)

    def matches(self, position: Position) -> bool:
        """Whether this is the file in which a position was."""
        if self._size() < position.offset:
            return False
        if position.offset == 0:
            return self.inode == position.inode
        return mark_of(self._read_before(position.offset)) == position.mark

    def go_to(self, position: Position) -> None:
        """Read from a position on."""
        self._go_to(position.offset, position.line, position.skipping)

    def go_to_end(self) -> None:
        """Read what is appended from now on. The number of lines so far has to be counted."""
        self._find_container()
        size = self._size()
        if self.container == "frame-streams":
            while self._offset < size and self.read():
                pass
            return
        lines = offset = end = 0
        while offset < size and (data := os.pread(self._descriptor, 1 << 20, offset)):
            divided = self._divide_text(data)
            lines += len(divided.records)
            end = offset + divided.size if divided.size else end
            # A unit of two bytes may be divided where the file ends.
            offset += len(data) if not self._encoding or len(data) % 2 == 0 else len(data) - 1
            if len(data) < 2:
                break
        self._go_to(end, lines, skipping=False)

    @property
    def is_at_start(self) -> bool:
        """Whether nothing was read of it."""
        return self._offset == 0

    @property
    def is_database(self) -> bool:
        """Whether this is a database that is read as a file, which is of no use."""
        return self.container is None and self.head(len(MAGIC)) == MAGIC

    @property
    def modified(self) -> int:
        """When the file was last written, in ns since the epoch."""
        return os.fstat(self._descriptor).st_mtime_ns

    def has_changed(self, status: os.stat_result | None = None) -> bool:
        """Whether the file was written since it was read to its end. `status` is what is known of
        it already."""
        status = status or os.fstat(self._descriptor)
        return (status.st_size, status.st_mtime_ns) != self._seen

    def was_replaced(self) -> bool:
        """Whether the file was truncated, and perhaps written again, since it was read."""
        if self._size() < self._offset:
            return True
        return bool(self._before) and self._read_before(self._offset) != self._before

    def restart(self) -> None:
        """Read the file from its beginning: it was truncated."""
        self.container = None
        self._broken = False
        self._go_to(0, 0, skipping=False)

    def read(self) -> Batch | None:
        """The next complete records; None if there are none now."""
        if self.container is None and not self._find_container():
            status = os.fstat(self._descriptor)
            self._seen = status.st_size, status.st_mtime_ns
            return None
        status = os.fstat(self._descriptor)
        if self._broken:
            self._seen = status.st_size, status.st_mtime_ns
            return None
        data = os.pread(self._descriptor, CHUNK, self._offset)
        if len(data) == CHUNK and self._is_text and not data.strip(b"\0"):
            # Fewer of them may be a place that is written later.
            runs = self._count_runs(data)
            self._advance(data, CHUNK, 0)
            return Batch(self._line + 1, (), (), runs)
        unread: list[str] = []
        divided = self._divide(data, unread)
        if not divided.size and len(data) == CHUNK and not self._broken:
            # One record is longer than what was read.
            data += os.pread(self._descriptor, max(MAX_FRAME, 1 << 20), self._offset + CHUNK)
            divided = self._divide(data, unread)
        first, records = self._line + 1, divided.records
        if self._skipping and divided.size:
            self._skipping = False
            records = records[1:]
            first += 1
        elif divided.too_long:
            # Behind NUL bytes another line begins.
            goes_on = not (self._is_text and data.endswith(b"\0"))
            if goes_on and not self._skipping:
                unread.append("line-too-long")
            self._skipping = goes_on
            runs = self._count_runs(data)
            self._advance(data, len(data), 0)
            return Batch(first, (), unread, runs)
        if first == 1 and records and records[0].startswith(codecs.BOM_UTF8):
            records = [records[0].removeprefix(codecs.BOM_UTF8), *records[1:]]
        runs = self._count_runs(data[: divided.size])
        self._advance(data, divided.size, len(divided.records))
        if not divided.size:
            self._seen = status.st_size, status.st_mtime_ns
            return Batch(first, (), unread) if unread else None
        return Batch(first, records, unread, runs)

    def read_rest(self) -> Batch | None:
        """A last line without an end: the file is complete, nothing is appended any more."""
        if self.container != "lines" or self._skipping:
            return None
        data = os.pread(self._descriptor, CHUNK, self._offset)
        if not data or self._divide_text(data).size or len(data) == CHUNK:
            return None
        self._advance(data, len(data), 1)
        text = in_utf8(data, self._encoding) if self._encoding else data
        return Batch(self._line, [line_behind(text)])

    def head(self, size: int) -> bytes:
        """The first bytes of the file."""
        return os.pread(self._descriptor, size, 0)

    def text_head(self, size: int) -> bytes:
        """The same; if the file begins with NUL bytes, those behind them."""
        return read_head(lambda size, at: os.pread(self._descriptor, size, at), size)

    def before(self, size: int) -> bytes:
        """Up to so many bytes before the position as UTF-8, from the beginning of a line on."""
        start = max(0, self._offset - size & ~1)
        data = os.pread(self._descriptor, self._offset - start, start)
        if self._encoding:
            data = in_utf8(data, self._encoding)
        return data if start == 0 else data[data.find(b"\n") + 1 :]

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def _is_text(self) -> bool:
        """Whether a NUL byte is no part of its text."""
        return self.container == "lines" and not self._encoding

    def _count_runs(self, data: bytes) -> int:
        """The runs of NUL bytes that begin in the bytes at the position."""
        if not self._is_text or b"\0" not in data:
            return 0
        return count_runs(data) - (data[0] == 0 and self._before.endswith(b"\0"))

    def _divide(self, data: bytes, unread: list[str]) -> Divided:
        if self.container == "lines":
            return self._divide_text(data)
        try:
            return divide_frames(data)
        except FrameError as error:
            # Where the next frame begins is not known.
            self._broken = True
            unread.append(str(error))
            return Divided((), 0)

    def _divide_text(self, data: bytes) -> Divided:
        return divide_text(data, self._encoding) if self._encoding else divide_lines(data)

    def _find_container(self) -> bool:
        head = self.head(LEAST_HEAD)
        if len(head) == LEAST_HEAD or b"\n" in head:
            self._encoding = ENCODINGS.get(head[:2], "")
            self.container = "frame-streams" if is_frame_streams(head) else "lines"
        return self.container is not None

    def _advance(self, data: bytes, size: int, records: int) -> None:
        if size:
            self._before = (self._before + data[max(0, size - MARK_SIZE) : size])[-MARK_SIZE:]
            self._offset += size
            self._line += records

    def _go_to(self, offset: int, line: int, skipping: bool) -> None:
        self._before = self._read_before(offset)
        if offset:
            self._find_container()
        self._offset, self._line, self._skipping = offset, line, skipping
        self._seen = (-1, 0)

    def _read_before(self, offset: int) -> bytes:
        start = max(0, offset - MARK_SIZE)
        return os.pread(self._descriptor, offset - start, start)

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size
