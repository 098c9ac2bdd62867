"""Where captures are: on this machine, or at a URL.

A local file is opened by the system as ever. At a URL, `netwatch.capture.object_store` reads what
fsspec opens (``s3://``, ``gs://``, ``abfs://`` and others), `netwatch.capture.http_file` what an
HTTP server has (`netwatch.capture.files`). Both find captures at a URL (`find_urls`), say what
identifies the content of one (`info_of_url`), and open it as a file that reads ahead (`open_url`,
`netwatch.capture.remote_file`). ``file://`` is a local path in other words.

A URL may carry a password or a signature. What is shown, stored and written into records is
therefore `shown_url`, never the URL itself.
"""

# Paths are reported as the user wrote them. pathlib would change them.
# ruff: noqa: PTH116

import os
import re
import sys
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from netwatch.core.errors import CaptureError, ConfigError, Problem
from netwatch.core.text import without_secrets

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+://")
_DRIVE = re.compile(r"[A-Za-z]:(?:/|\\|$)")


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What identifies the content of a capture: `key`, its path or its URL without secrets;
    `etag`, which changes when the content does, empty where nobody says; `size` in bytes, None
    where it is not known before it is read."""

    key: str
    etag: str
    size: int | None


@dataclass(frozen=True, slots=True)
class FoundUrl:
    """A capture that a URL leads to. `is_named` is false where it was found below a folder."""

    url: str
    info: FileInfo | None
    is_named: bool = True


class OpenFile(Protocol):
    """A file at a URL that was opened for reading. A failure to read raises OSError, whose
    `strerror` is a sentence."""

    @property
    def size(self) -> int | None:
        """The size in bytes, None where the server does not say."""
        ...

    def readinto(self, buffer: memoryview) -> int:
        """Read available bytes; 0 only at the end."""
        ...

    def close(self) -> None:
        """Stop reading."""
        ...


def is_url(path: str) -> bool:
    """Whether a path is a URL; a drive letter is no scheme."""
    return _SCHEME.match(path) is not None


def local_path(url: str) -> str | None:
    """The path of a ``file://`` URL, None for other URLs. Raises `ConfigError` where it names
    another machine."""
    if url[:7].lower() != "file://":
        return None
    host, slash, path = url[7:].partition("/")
    if host not in ("", "localhost") or not slash:
        raise ConfigError([Problem(url, 0, 0, "expected file:///PATH, a file of this machine")])
    from urllib.parse import unquote

    path = unquote(path)
    # file:///C:/captures is C:/captures (RFC 8089, appendix E.2).
    return path if _DRIVE.match(path) and sys.platform == "win32" else slash + path


def shown_url(url: str) -> str:
    """A URL without what may be secret in it: user and password, and the values of parameters that
    sign or authorise a request or are long. Showing the result again does not change it."""
    return without_secrets(url)


def info_of_path(path: str) -> FileInfo:
    """What identifies the content of a local file: its absolute path, time and size. Raises
    `CaptureError`."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise CaptureError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    key = os.path.realpath(path)
    return FileInfo(key, f"{status.st_mtime_ns:x}-{status.st_ino:x}", status.st_size)


def as_binary(file: OpenFile) -> BinaryIO:
    """An open file as what a `FileStream` reads, which calls nothing but these methods."""
    return cast(BinaryIO, file)
