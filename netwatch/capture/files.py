"""Finds the capture files that a user named, on this machine or at URLs, and opens them.

The format of a file is recognised by its content, never by its name. `SOURCES` lists the formats
that are read: a new one is a class and a row.
"""

# Paths are reported as the user wrote them. pathlib would change them.
# ruff: noqa: PTH112, PTH113, PTH116, PTH118, PTH123, PTH206, PTH207

import errno
import glob
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from netwatch.capture import pcap, pcapng
from netwatch.capture.block import Source
from netwatch.capture.compression import COMPRESSIONS, recognise_compression
from netwatch.capture.decompression import DecompressedStream, ReadAhead
from netwatch.capture.locations import (
    FileInfo,
    as_binary,
    info_of_path,
    is_url,
    local_path,
    shown_url,
)
from netwatch.capture.not_read import (
    ERF_HEAD_BYTES,
    EVIDENCE_HEAD_BYTES,
    is_erf,
    is_own_evidence,
)
from netwatch.capture.stream import FileStream, Stream, Windows
from netwatch.core.errors import CaptureError
from netwatch.core.system.kernel import usable_cpus

STDIN = "-"
"""The path that means standard input."""

SOURCES: dict[bytes, Callable[[str, Stream, int | None], Source]] = {
    **dict.fromkeys(pcap.MAGICS, pcap.PcapSource),
    pcapng.MAGIC: pcapng.PcapngSource,
}
"""The first four bytes of a capture, and the class that reads it."""

UNSUPPORTED_FORMATS: dict[bytes, str] = {
    b"PK\x03\x04": "a zip archive, unpack it first",
    b"7z\xbc\xaf": "a 7-Zip archive, unpack it first",
    b"Rar!": "a RAR archive, unpack it first",
    b"snoo": "a snoop capture, convert it with editcap",
    b"GMBU": "a Network Monitor capture, convert it with editcap",
    b"RTSS": "a Network Monitor capture, convert it with editcap",
    b"TRSN": "a Sniffer capture, convert it with editcap",
}
"""Formats that are not read, by their first four bytes, and what to do about it."""


ERF = "an ERF capture of an Endace card, convert it: editcap -F pcapng IN.erf OUT.pcapng"
"""The same of a format that has no magic number."""

CAPTURE_SUFFIXES = frozenset({"pcap", "pcapng", "cap", "dmp", "ntar", "erf"})
"""File name suffixes of captures; a file with one of them in a folder must be readable."""

LOG_SUFFIXES = frozenset({"json", "jsonl", "ndjson", "log", "txt", "csv", "tsv", "xml"})
"""File name suffixes of files about a capture."""

_NO_TEXT = bytes(range(9)) + bytes(range(14, 32))


class NotACaptureError(CaptureError):
    """A file can be read but is not a capture, as most files in a folder."""


class OwnEvidenceError(NotACaptureError):
    """A file in a folder is evidence that netwatch wrote, with packets or records that are usually
    in the same folder. It is read if it is named itself."""


@dataclass(frozen=True, slots=True)
class CaptureFile:
    """A file to read, or the reason why there is none at a path.

    `path` is written as the user wrote it or its folder. `named_by_user` is false if the user named
    a folder that contains it. `error` is a sentence with the path, or None. `hint` explains how a
    file in a folder that is not a capture may be read; empty if unknown.

    For a capture at a URL `path` is the URL without possible secrets, `url` the URL itself, and
    `info` what identified its content when it was found, None if the server was not asked.
    """

    path: str
    named_by_user: bool = True
    error: str | None = None
    url: str | None = None
    info: FileInfo | None = None
    hint: str = ""

    @property
    def size(self) -> int | None:
        """The size of a regular file, or of one on a server, in bytes; None if unknown."""
        if self.url is not None:
            return self.info.size if self.info is not None else None
        if self.path == STDIN:
            return None
        try:
            status = os.stat(self.path)
        except (OSError, ValueError):
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None


def _remote(url: str) -> Any:
    """The module that finds and opens URLs; none is imported for local files."""
    if url.partition("://")[0].lower() in ("http", "https"):
        from netwatch.capture import http_file

        return http_file
    from netwatch.capture import object_store

    return object_store


def find_captures(paths: Sequence[str]) -> list[CaptureFile]:
    """The files that `paths` refer to, in this order: files, folders, globs, URLs of either, ``-``.

    A folder stands for all regular files below it, sorted, except those whose name starts with a
    dot; symbolic links to folders are not followed. A glob (with ``**`` for folders of any depth)
    is expanded if no file has exactly that name. A file that is reached by several paths is listed
    once. Raises `ConfigError` for a URL that no installed package opens.
    """
    found: dict[str, CaptureFile] = {}
    for path in paths:
        for entry in _expand(path):
            keep = entry.path == STDIN or entry.error
            name = entry.url or (entry.path if keep else os.path.realpath(entry.path))
            found.setdefault(name, entry)
    return list(found.values())


def has_capture_name(path: str) -> bool:
    """Whether a file is a capture by its name, compressed or not."""
    *_, before, last = ("", *path.lower().rpartition("/")[2].split("."))
    return last in CAPTURE_SUFFIXES or (before in CAPTURE_SUFFIXES and last not in LOG_SUFFIXES)


def may_be_text(file: CaptureFile) -> bool:
    """Whether a local file begins like text, whatever its name is. It need not be readable."""
    if file.url is not None or file.path == STDIN:
        return False
    try:
        with open(file.path, "rb", buffering=0) as opened:
            head = opened.read(64)
    except (OSError, ValueError):
        return False
    return bool(head) and head.translate(None, _NO_TEXT) == head


def capture_file(path: str) -> CaptureFile:
    """The one file at a path or URL, without checking that it exists."""
    local = local_path(path) if is_url(path) else path
    return CaptureFile(shown_url(path), url=path) if local is None else CaptureFile(local)


def file_info(file: CaptureFile) -> FileInfo:
    """The identity of a file's content: as found, or at its path now. Raises `CaptureError`."""
    if file.info is not None and file.info.size is not None:
        return file.info
    return info_of_path(file.path) if file.url is None else _remote(file.url).info_of_url(file.url)


def open_source(file: CaptureFile | str, windows: Windows | None = None) -> Source:
    """Open a capture (the path ``-`` is standard input); the source has its path as its name. Its
    blocks are in `windows`, if given.

    Raises `NotACaptureError` for a file that is not a capture, `OwnEvidenceError` for evidence in a
    folder, and `CaptureError` for what cannot be read. The text starts with the path and says what
    was expected.
    """
    if isinstance(file, str):
        file = capture_file(file)
    content = open_content(file)
    try:
        if not file.named_by_user and is_own_evidence(content.stream.peek(EVIDENCE_HEAD_BYTES)):
            raise OwnEvidenceError(f"{file.path}: is evidence that netwatch wrote")
        return _recognise(file.path, content, windows)
    except BaseException:
        content.stream.close()
        raise


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a file, decompressed if it is compressed, from its start on. `size` is its size
    as stored, None if unknown; `compression` is empty if there is none."""

    stream: Stream
    size: int | None
    compression: str = ""


_looked_at: list[Content] = []


def look_at(file: CaptureFile, size: int) -> bytes:
    """The first `size` bytes of a file's content, fewer if it is shorter; of a capture only the
    first few, because a pipe may deliver no more for hours. Standard input can be opened afterwards
    like any file. Raises `CaptureError`."""
    content = open_content(file)
    try:
        head = content.stream.peek(8)
        return head if is_capture(head) else content.stream.peek(size)
    finally:
        if file.path == STDIN:
            _looked_at[:] = [content]
        else:
            content.stream.close()


def open_content(file: CaptureFile) -> Content:
    """Open a file of any format. Raises `CaptureError`."""
    if file.path == STDIN and _looked_at:
        return _looked_at.pop()
    opened, size = open_file(file)
    stream: Stream = FileStream(opened, [], close=file.path != STDIN)
    try:
        compression = recognise_compression(stream.peek(8))
        if compression is None:
            return Content(stream, size)
        decompressed = DecompressedStream(stream, compression, size)
        if size is not None and usable_cpus() > 1:
            return Content(ReadAhead(decompressed, size), size, compression)
        return Content(decompressed, size, compression)
    except BaseException:
        stream.close()
        raise


def open_file(file: CaptureFile) -> tuple[BinaryIO, int | None]:
    """The bytes of a capture, unbuffered and as stored, and their number, None if that is not
    known. Raises `CaptureError`."""
    if file.url is not None:
        remote = _remote(file.url).open_url(file.url, file.info)
        return as_binary(remote), remote.size
    path = file.path
    try:
        opened = _stdin() if path == STDIN else open(path, "rb", buffering=0)  # noqa: SIM115
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise CaptureError(f"{path}: {_reason(error)}") from None
    return opened, _size(opened)


def is_capture(head: bytes) -> bool:
    """Whether a file with these first bytes, decompressed, is a capture, or in a format that is
    known but not read."""
    return head[:4] in SOURCES or head[:4] in UNSUPPORTED_FORMATS


def _recognise(path: str, content: Content, windows: Windows | None) -> Source:
    stream, size = content.stream, content.size
    inside = f" inside {content.compression}" if content.compression else ""
    head = stream.peek(8)
    build = SOURCES.get(head[:4])
    if build:
        stream.windows = windows
        return build(path, stream, size)
    if stream.notes:
        raise CaptureError(f"{path}: nothing can be read: {'; '.join(stream.notes)}")
    if not head:
        raise NotACaptureError(f"{path}: is empty{inside}")
    what = UNSUPPORTED_FORMATS.get(head[:4], "")
    if not what and is_erf(stream.peek(ERF_HEAD_BYTES)):
        what = ERF
    what = what or (
        f"not a capture (starts with {_printable(head)}){inside}; "
        f"expected pcap or pcapng, optionally compressed with {', '.join(COMPRESSIONS)}, or a log"
        " (--as names the format of one that is not recognised)"
    )
    raise NotACaptureError(f"{path}: is {what}")


def _printable(head: bytes) -> str:
    """The first bytes of a file as text, or in hexadecimal if they are not printable."""
    text = head.decode("ascii", "replace")
    return repr(text) if text.isprintable() and head.isascii() else head.hex(" ")


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return getattr(
        sys.stdin.buffer, "raw", sys.stdin.buffer
    )  # a buffered reader would wait until its buffer is full


def _size(file: BinaryIO) -> int | None:
    """The size of a regular file in bytes, otherwise None."""
    try:
        status = os.fstat(file.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file or folder"
    if isinstance(error, IsADirectoryError):
        return "is a folder, expected a file"
    if isinstance(error, OSError):
        return f"cannot be opened: {error.strerror}"
    return "cannot be opened: its name contains a NUL character"


def _expand(path: str) -> Iterator[CaptureFile]:
    if path == STDIN:
        yield CaptureFile(path)
        return
    if is_url(path):
        local = local_path(path)
        if local is None:
            yield from _at_url(path)
            return
        path = local
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        yield from _glob(path)
    except (OSError, ValueError) as error:
        yield CaptureFile(path, error=f"{path}: {_reason(error)}")
    else:
        if stat.S_ISDIR(mode):
            yield from _folder(path)
        else:
            yield CaptureFile(path)


def _at_url(url: str) -> Iterator[CaptureFile]:
    try:
        for found in _remote(url).find_urls(url):
            yield CaptureFile(shown_url(found.url), found.is_named, url=found.url, info=found.info)
    except CaptureError as error:
        yield CaptureFile(shown_url(url), error=str(error))


def _glob(path: str) -> Iterator[CaptureFile]:
    if not glob.has_magic(path):
        yield CaptureFile(path, error=f"{path}: no such file or folder")
        return
    found: list[CaptureFile] = []
    for match in sorted(set(_matches(path))):
        found.extend(_folder(match) if os.path.isdir(match) else [CaptureFile(match)])
    yield from found or [CaptureFile(path, error=f"{path}: no file matches")]


def _matches(pattern: str) -> Iterator[str]:
    """Files and folders that match a glob. Unlike `glob.glob`, ``**`` does not follow symbolic
    links, which may lead back to a parent folder."""
    parts = pattern.replace(os.altsep or os.sep, os.sep).split(os.sep)
    if "**" not in parts:
        yield from glob.glob(pattern)
        return
    at = parts.index("**")
    top, rest = os.sep.join([*parts[:at], ""]), os.path.join(*parts[at + 1 :], "")[:-1]
    for base in glob.glob(top) if top else [os.curdir]:
        if not rest:
            yield base
            continue
        for folder, below, _ in os.walk(base):
            below[:] = [name for name in below if not name.startswith(".")]
            yield from _matches(os.path.join(glob.escape(folder), rest))


def _folder(path: str) -> Iterator[CaptureFile]:
    errors: list[OSError] = []
    files: list[str] = []
    for folder, below, names in os.walk(path, onerror=errors.append):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            file = os.path.join(folder, name)
            if not name.startswith(".") and os.path.isfile(file):
                files.append(file)
    for file in sorted(files, key=lambda file: file.split(os.sep)):
        yield CaptureFile(file, named_by_user=False)
    for error in errors:
        yield CaptureFile(
            error.filename, error=f"{error.filename}: cannot be opened: {error.strerror}"
        )
    if not files and not errors:
        yield CaptureFile(path, error=f"{path}: no files in this folder")
