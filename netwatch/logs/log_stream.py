"""Where the records of a file come from: lines in a buffer, or the records of binary containers.

A file is opened as captures are: compressed, at a URL, from standard input. Text may be UTF-8, or
UTF-16 as PowerShell writes it. What can only be read from a file on disk (SQLite, EVTX) is copied
to one first, unless it is one.
"""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from netwatch.capture.files import STDIN, CaptureFile, Content, open_content
from netwatch.capture.stream import Stream
from netwatch.core.errors import CaptureError
from netwatch.core.private_folder import PrivateFolder
from netwatch.logs.nul_bytes import TextStream
from netwatch.logs.sqlite_rows import DatabaseError, with_write_ahead_log

MAX_LINE = 1 << 20
"""Bytes of a line; a longer one is skipped."""

MAX_COPY = 64 << 30
"""Bytes of a database or event log that is copied before it is read."""

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def open_text(file: CaptureFile) -> Content:
    """The bytes of a file as UTF-8, without a byte order mark, with a run of NUL bytes as a single
    one (`TextStream`). Raises `CaptureError`."""
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
    """The text of a stream in UTF-8. What is not text is replaced."""

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
        """The bytes of the file that were not read, and those of text that were not handed on."""
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
    """Reads so many bytes of a stream as are asked for."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        buffer = bytearray(size)
        filled = 0
        while filled < size:
            got = self._stream.readinto(memoryview(buffer)[filled:])
            if not got:
                break
            filled += got
        return bytes(buffer[:filled])


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
