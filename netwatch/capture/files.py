"""Which files a user means, and what each of them is.

Paths become a list of files; a file becomes a source by what it holds, never by its name.
The tables say what is read: a new format is one class and one row.
"""

# Paths stay as the user wrote them, which pathlib does not keep.
# ruff: noqa: PTH112, PTH113, PTH116, PTH118, PTH123, PTH206, PTH207

import errno
import glob
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from netwatch.capture import pcap, pcapng
from netwatch.capture.block import Source
from netwatch.capture.compression import COMPRESSIONS, DecompressedStream, recognise
from netwatch.capture.stream import FileStream, Stream
from netwatch.core.errors import CaptureError

STDIN = "-"
"""The path that means standard input."""

SOURCES: dict[bytes, Callable[[str, Stream, int | None], Source]] = {
    **dict.fromkeys(pcap.MAGICS, pcap.PcapSource),
    pcapng.MAGIC: pcapng.PcapngSource,
}
"""How a capture starts, and the class that reads it."""

OTHERS: dict[bytes, str] = {
    b"PK\x03\x04": "a zip archive, unpack it first",
    b"7z\xbc\xaf": "a 7-Zip archive, unpack it first",
    b"Rar!": "a RAR archive, unpack it first",
    b"snoo": "a snoop capture, convert it with editcap",
    b"GMBU": "a Network Monitor capture, convert it with editcap",
    b"RTSS": "a Network Monitor capture, convert it with editcap",
    b"TRSN": "a Sniffer capture, convert it with editcap",
}
"""Files that people take for captures, by their first four bytes."""


class NotACapture(CaptureError):  # noqa: N818 - it tells what the file is
    """A file that can be read and is no capture, as folders hold many."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read, or why there is none.

    `path` is as the user gave it or as found below; `named` is whether the user named it,
    rather than a folder that holds it. `error` is a sentence with the path, or None.
    """

    path: str
    named: bool = True
    error: str | None = None


def find(paths: Sequence[str]) -> list[Found]:
    """The files that `paths` mean, in their order: files, folders, globs, ``-``.

    A folder gives the regular files in and below it, sorted, without those whose name
    starts with a dot; links to folders below it are not followed. A glob (``**`` goes
    through folders) is expanded where no file has that very name. No file comes twice,
    by whatever path.
    """
    found: dict[str, Found] = {}
    for path in paths:
        for entry in _expand(path):
            keep = entry.path == STDIN or entry.error
            found.setdefault(entry.path if keep else os.path.realpath(entry.path), entry)
    return list(found.values())


def open_source(path: str) -> Source:
    """The capture at `path` (``-`` is standard input) as a source, named by the path.

    Raises `NotACapture` for what can be read but is no capture, and `CaptureError` for
    what cannot be read; the text starts with the path and says what was expected.
    """
    notes: list[str] = []
    try:
        file = _stdin() if path == STDIN else open(path, "rb", buffering=0)  # noqa: SIM115
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise CaptureError(f"{path}: {_reason(error)}") from None
    stream: Stream = FileStream(file, notes, close=path != STDIN)
    try:
        return _recognise(path, stream, _size(file))
    except BaseException:
        stream.close()
        raise


def _recognise(path: str, stream: Stream, size: int | None) -> Source:
    head = stream.peek(8)
    inside = ""
    compression = recognise(head)
    if compression:
        inside = f" inside {compression}"
        stream = DecompressedStream(stream, compression)
        head = stream.peek(8)
    build = SOURCES.get(head[:4])
    if build:
        return build(path, stream, size)
    if stream.notes:
        raise CaptureError(f"{path}: nothing can be read, {'; '.join(stream.notes)}")
    if not head:
        raise NotACapture(f"{path}: is empty{inside}")
    what = OTHERS.get(head[:4]) or (
        f"not a capture (starts with {_shown(head)}){inside}; "
        f"pcap and pcapng are read, also compressed by {', '.join(COMPRESSIONS)}"
    )
    raise NotACapture(f"{path}: is {what}")


def _shown(head: bytes) -> str:
    """The first bytes for people: as text where they are, else in hexadecimal."""
    text = head.decode("ascii", "replace")
    return repr(text) if text.isprintable() and head.isascii() else head.hex(" ")


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)  # no buffer that waits to be full


def _size(file: BinaryIO) -> int | None:
    """Bytes of a regular file, else None."""
    try:
        status = os.fstat(file.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file or folder"
    if isinstance(error, IsADirectoryError):
        return "is a folder; a file is expected"
    if isinstance(error, OSError):
        return f"cannot be opened: {error.strerror}"
    return "cannot be opened: a null byte in its name"


def _expand(path: str) -> Iterator[Found]:
    if path == STDIN:
        yield Found(path)
        return
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        yield from _glob(path)
    except (OSError, ValueError) as error:
        yield Found(path, error=f"{path}: {_reason(error)}")
    else:
        if stat.S_ISDIR(mode):
            yield from _folder(path)
        else:
            yield Found(path)


def _glob(path: str) -> Iterator[Found]:
    if not glob.has_magic(path):
        yield Found(path, error=f"{path}: no such file or folder")
        return
    found: list[Found] = []
    for match in sorted(set(_matches(path))):
        found.extend(_folder(match) if os.path.isdir(match) else [Found(match)])
    yield from found or [Found(path, error=f"{path}: no file matches")]


def _matches(pattern: str) -> Iterator[str]:
    """Files and folders that a glob takes. Unlike in `glob.glob`, ``**`` does not go
    through links, which may lead back to where they are."""
    parts = pattern.split(os.sep)
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


def _folder(path: str) -> Iterator[Found]:
    errors: list[OSError] = []
    files: list[str] = []
    for folder, below, names in os.walk(path, onerror=errors.append):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            file = os.path.join(folder, name)
            if not name.startswith(".") and os.path.isfile(file):
                files.append(file)
    for file in sorted(files, key=lambda file: file.split(os.sep)):
        yield Found(file, named=False)
    for error in errors:
        yield Found(error.filename, error=f"{error.filename}: cannot be opened: {error.strerror}")
    if not files and not errors:
        yield Found(path, error=f"{path}: no files in this folder")
