"""Where the records of a file come from: lines in a buffer, or the records of binary containers.

A file is opened like a capture: compressed, at a URL, from standard input. Text may be UTF-8, or
UTF-16 as PowerShell writes it. What can only be read from a file on disk (SQLite, EVTX) is first
copied to one, unless it already is.

NUL bytes in text are what remains of data that a power failure kept from the disk, and of a file
that was truncated under a program that continues at its old position. A run of them is skipped and
counted as ``log-nul-bytes``; the line after it is read. What precedes it on the same line was cut
off, and is not a record.

The package ``evtx`` reads Windows event logs, each record as a JSON object. A damaged record is
skipped; if several follow one another, or the package fails as a whole, the rest of the file is not
read.
"""

import codecs
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from netwatch.capture.files import STDIN, CaptureFile, Content, open_content
from netwatch.capture.stream import Stream
from netwatch.core.errors import CaptureError
from netwatch.core.installing import install_command
from netwatch.core.private_files import PrivateFolder
from netwatch.logs.sqlite_rows import DatabaseError, with_write_ahead_log

NUL_BYTES = "log-nul-bytes"
"""The anomaly under which runs of NUL bytes are counted."""

STEP = 1 << 20
"""Bytes to read at a time if a file begins with NUL bytes."""

LEAST_RUN = 12
"""So many NUL bytes never begin a frame of Frame Streams."""

_RUN = re.compile(rb"\0+")
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]")

READ_AHEAD = 1 << 18
"""Bytes of a stream of binary records that are read at a time."""

MAX_LINE = 1 << 20
"""Bytes of a line, at most; a longer one is skipped."""

MAX_COPY = 64 << 30
"""Bytes of a database or event log that may be copied before it is read."""

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

MAGIC = b"ElfFile\0"
"""The first bytes of an event log."""

NFCAPD = b"\x0c\xa5\x02\0"
"""The first bytes of an nfcapd file (nfdump 1.7), in the byte order of usual machines."""

MAX_DAMAGED = 1000
"""Damaged records in a row after which the rest of the file is not read."""

MAX_RECORD = 1 << 20
"""Characters of a record as JSON, at most; a longer one is skipped."""


def line_behind(line: bytes) -> bytes:
    """A line without NUL bytes: only the part after those inside it, if there are any."""
    return line.strip(b"\0").rpartition(b"\0")[2]


def count_runs(data: bytes) -> int:
    """The runs of NUL bytes in some bytes."""
    return len(_RUN.findall(data)) if b"\0" in data else 0


def text_of(head: bytes) -> bytes:
    """The text in the head of a file apart from NUL bytes; empty if it is not text."""
    if b"\0" not in head:
        return head
    text = b"\n".join(map(line_behind, head.split(b"\n")))
    return b"" if _CONTROL.search(text) else text


def is_without_mark(head: bytes) -> str:
    """The encoding of text that looks like UTF-16 without a byte order mark, empty if it does
    not."""
    begin = head[:256]
    if len(begin) < 8:
        return ""
    first, second = begin[::2], begin[1::2]
    if not second.strip(b"\0") and b"\0" not in first:
        return "UTF-16LE"
    return "UTF-16BE" if not first.strip(b"\0") and b"\0" not in second else ""


def read_head(read: Callable[[int, int], bytes], size: int) -> bytes:
    """The first `size` bytes of a file; if it begins with a long run of NUL bytes, or a line that
    is longer than that, the bytes after it. `read` returns so many bytes from an offset on."""
    head = read(size, 0)
    if len(head) < LEAST_RUN or head[:LEAST_RUN].strip(b"\0"):
        if len(head) < size or b"\n" in head or b"\0" in head:
            return head
        end = read(2 * STEP, 0).find(b"\n") + 1
        return read(size, end) if end else head
    at = 0
    while (data := read(STEP, at)) and not data.strip(b"\0"):
        at += len(data)
    return read(size, at + len(data) - len(data.lstrip(b"\0")))


class TextStream(Stream):
    """The bytes of a stream, with each run of NUL bytes replaced by a single one. `runs` counts
    them."""

    def __init__(self, inner: Stream) -> None:
        super().__init__(inner.notes)
        self._inner = inner
        self._is_in_run = False
        self.runs = 0

    @property
    def position(self) -> int:
        """Bytes read from the file itself."""
        return self._inner.position

    def left(self, size: int | None) -> int:
        """The bytes of the file that were not read."""
        return len(self._peeked) + self._inner.left(size)

    def close(self) -> None:
        """Close the file."""
        self._inner.close()

    def _read(self, buffer: memoryview) -> int:
        while got := self._inner.readinto(buffer):
            self.damaged = self._inner.damaged
            data = bytes(buffer[:got])
            if b"\0" not in data:
                self._is_in_run = False
                return got
            if self._is_in_run:
                data = data.lstrip(b"\0")
            self.runs += count_runs(data)
            self._is_in_run = data.endswith(b"\0") or (self._is_in_run and not data)
            data = re.sub(_RUN.pattern, b"\0", data)
            if data:
                buffer[: len(data)] = data
                return len(data)
        self.damaged = self._inner.damaged
        return 0


def open_text(file: CaptureFile) -> Content:
    """The bytes of a file as UTF-8, without a byte order mark, with each run of NUL bytes replaced
    by a single one (`TextStream`). Raises `CaptureError`."""
    content = open_content(file)
    try:
        head = content.stream.peek(3)
        if head == codecs.BOM_UTF8:
            content.stream.readinto(memoryview(bytearray(3)))
        encoding = _BYTE_ORDER_MARKS.get(head[:2])
        stream = content.stream if encoding is None else Utf8Stream(content.stream, encoding)
        return Content(TextStream(stream), content.size, content.compression)
    except BaseException:
        content.stream.close()
        raise


class Utf8Stream(Stream):
    """The text of a stream in UTF-8. Bytes that are not text are replaced."""

    def __init__(self, inner: Stream, encoding: str) -> None:
        super().__init__(inner.notes)
        self._inner = inner
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._piece = memoryview(bytearray(1 << 16))
        self._text = b""
        self._has_ended = False

    @property
    def position(self) -> int:
        """Bytes read from the file itself."""
        return self._inner.position

    def left(self, size: int | None) -> int:
        """The unread bytes of the file, and the text that was not handed on."""
        return len(self._peeked) + len(self._text) + self._inner.left(size)

    def close(self) -> None:
        """Close the file."""
        self._inner.close()

    def _read(self, buffer: memoryview) -> int:
        while not self._text and not self._has_ended:
            got = self._inner.readinto(self._piece)
            self._has_ended = not got
            text = self._decoder.decode(self._piece[:got], final=not got)
            self._text = text.encode("utf-8", "replace")
            self.damaged = self._inner.damaged
        size = min(len(self._text), len(buffer))
        buffer[:size] = self._text[:size]
        self._text = self._text[size:]
        return size


class StreamReader:
    """Reads exactly the requested bytes of a stream, `READ_AHEAD` of them at a time."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._data, self._at = b"", 0

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        missing = self._at + size - len(self._data)
        if missing > 0:
            self._fill(missing)
        found = self._data[self._at : self._at + size]
        self._at += len(found)
        return found

    def _fill(self, missing: int) -> None:
        parts = [self._data[self._at :]]
        while missing > 0:
            buffer = memoryview(bytearray(max(missing, READ_AHEAD)))
            got = self._stream.readinto(buffer)
            if not got:
                break
            parts.append(bytes(buffer[:got]))
            missing -= got
        self._data, self._at = b"".join(parts), 0


@contextmanager
def on_disk(file: CaptureFile) -> Iterator[Path]:
    """The path of an uncompressed local file with the content of a file: itself, or a copy that
    only this user can read. A database comes with its write-ahead log. Raises `CaptureError`."""
    content = open_content(file)
    is_local = not content.compression and file.url is None and file.path != STDIN
    log = Path(f"{file.path}-wal")
    try:
        if is_local and not _has_bytes(log):
            yield Path(file.path)
            return
        with PrivateFolder() as folder:
            try:
                if is_local:
                    copy = with_write_ahead_log(Path(file.path), folder)
                else:
                    copy = folder / "log.db"
                    with copy.open("wb") as to:
                        _copy(content.stream, to, file.path)
            except (OSError, DatabaseError) as error:
                reason = getattr(error, "strerror", None) or error
                raise CaptureError(f"{file.path}: cannot be copied: {reason}") from None
            yield copy
    finally:
        content.stream.close()


def _has_bytes(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except (OSError, ValueError):
        return False


def _copy(stream: Stream, to: BinaryIO, path: str) -> None:
    buffer = memoryview(bytearray(1 << 20))
    copied = 0
    while got := stream.readinto(buffer):
        to.write(buffer[:got])
        copied += got
        if copied > MAX_COPY:
            raise CaptureError(f"{path}: is longer than {MAX_COPY >> 30} GiB, unpack it first")


def events(path: Path, shown: str) -> Iterator[bytes | None]:
    """The records of the file at `path`, None for each unreadable one. `shown` is its name in
    messages. Raises `CaptureError` if the package is missing, or the file is not an event log."""
    try:
        import evtx
    except ImportError:
        raise CaptureError(
            f"{shown}: is a Windows event log, which needs an extra: {install_command('logs')}"
        ) from None
    try:
        found = evtx.PyEvtxParser(str(path), number_of_threads=1).records_json()
    except Exception as error:
        raise CaptureError(f"{shown}: cannot be read as a Windows event log: {error}") from None
    damaged = 0
    while damaged < MAX_DAMAGED:
        try:
            record: dict[str, Any] | None = next(found, None)
        except RuntimeError:
            damaged += 1
            yield None
            continue
        except BaseException as error:
            # A panic of the Rust code; it is not an Exception.
            if type(error).__name__ != "PanicException":
                raise
            raise CaptureError(f"{shown}: cannot be read on: {error}") from None
        if record is None:
            return
        damaged = 0
        text = str(record["data"])
        yield text.encode("utf-8", "surrogatepass") if len(text) <= MAX_RECORD else None
    raise CaptureError(f"{shown}: {MAX_DAMAGED} records one after the other are damaged")


def nfdump_lines(path: Path, shown: str) -> Iterator[bytes | None]:
    """The flows of the nfcapd file at `path`, each as a JSON object with times in UTC, None for one
    that is too long. The program ``nfdump`` reads the file, whose format changes with its versions.
    `shown` is its name in messages. Raises `CaptureError`."""
    program = shutil.which("nfdump")
    if program is None:
        raise CaptureError(
            f"{shown}: is a file of nfcapd; reading it requires the program nfdump"
            " (apt-get install nfdump)"
        )
    command = [program, "-q", "-r", str(path.absolute()), "-o", "ndjson"]
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=os.environ | {"TZ": "UTC", "LC_ALL": "C"},
        ) as running,
    ):
        assert running.stdout is not None
        try:
            while line := running.stdout.readline(MAX_LINE):
                yield line.strip() if line.endswith(b"\n") else None
            if running.wait():
                complaints.seek(0)
                said = complaints.read(200).decode("utf-8", "replace").strip()
                raise CaptureError(f"{shown}: nfdump cannot read it: {said}")
        finally:
            running.kill()


ON_DISK: dict[str, Callable[[Path, str], Iterator[bytes | None]]] = {
    "evtx": events,
    "nfcapd": nfdump_lines,
}
"""The reader of the records of a container that can only be read from a file on disk."""
