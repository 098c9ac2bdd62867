"""Where captures are: on this machine, or at a URL; and globs over names that a server lists.

A local file is opened by the system as usual. URLs are read by `netwatch.capture.object_store`
through fsspec (``s3://``, ``gs://``, ``abfs://`` and others), and by `netwatch.capture.http_file`
from an HTTP server (`netwatch.capture.files`). Both find captures at a URL (`find_urls`), return
what identifies the content of one (`info_of_url`), and open it as a file that reads ahead
(`open_url`, `netwatch.capture.remote_file`). ``file://`` is another form of a local path.

A URL may contain a password or a signature. Therefore only `shown_url` is shown, stored and written
into records, never the URL itself.

Globs have the same meaning as on a disk: ``*``, ``?`` and ``[…]`` match inside one part of a name,
``**`` folders of any depth. A name or folder that begins with a dot is hidden: only a pattern that
writes the dot matches it.
"""

# Paths are reported as the user wrote them. pathlib would change them.
# ruff: noqa: PTH116

import fnmatch
import glob
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from netwatch.core.errors import CaptureError, ConfigError
from netwatch.core.text import without_secrets

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+://")
_DRIVE = re.compile(r"[A-Za-z]:(?:/|\\|$)")


@dataclass(frozen=True, slots=True)
class FileInfo:
    """The identity of a capture's content: `key`, its path or its URL without secrets; `etag`,
    which changes with the content, empty if unknown; `size` in bytes, None if it is not known
    before it is read."""

    key: str
    etag: str
    size: int | None


@dataclass(frozen=True, slots=True)
class FoundUrl:
    """A capture at a URL. `is_named` is false if it was found below a folder."""

    url: str
    info: FileInfo | None
    is_named: bool = True


class OpenFile(Protocol):
    """A file at a URL that is open for reading. A failure to read raises OSError, whose `strerror`
    is a sentence."""

    @property
    def size(self) -> int | None:
        """The size in bytes, None if the server does not give it."""
        ...

    def readinto(self, buffer: memoryview) -> int:
        """Read available bytes; 0 only at the end."""
        ...

    def close(self) -> None:
        """Stop reading."""
        ...


def is_url(path: str) -> bool:
    """Whether a path is a URL; a drive letter is not a scheme."""
    return _SCHEME.match(path) is not None


def local_path(url: str) -> str | None:
    """The path of a ``file://`` URL, None for other URLs. Raises `ConfigError` if it names
    another machine."""
    if url[:7].lower() != "file://":
        return None
    host, slash, path = url[7:].partition("/")
    if host not in ("", "localhost") or not slash:
        raise ConfigError.of(url, "expected file:///PATH, a file of this machine")
    from urllib.parse import unquote

    path = unquote(path)
    # file:///C:/captures is C:/captures (RFC 8089, appendix E.2).
    return path if _DRIVE.match(path) and sys.platform == "win32" else slash + path


def shown_url(url: str) -> str:
    """A URL without possible secrets: user and password, and the values of parameters that sign or
    authorise a request or are long. Applying it twice gives the same."""
    return without_secrets(url)


def info_of_path(path: str) -> FileInfo:
    """The identity of a local file's content: its absolute path, time and size. Raises
    `CaptureError`."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise CaptureError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    key = os.path.realpath(path)
    return FileInfo(key, f"{status.st_mtime_ns:x}-{status.st_ino:x}", status.st_size)


def as_binary(file: OpenFile) -> BinaryIO:
    """An open file with the methods that a `FileStream` uses."""
    return cast(BinaryIO, file)


def has_magic(pattern: str) -> bool:
    """Whether a path is a glob."""
    return glob.has_magic(pattern)


def fixed_part(pattern: str) -> tuple[str, str]:
    """The folder that contains everything that a glob can match, and the prefix of the names below
    it."""
    parts = pattern.split("/")
    at = next(at for at, part in enumerate(parts) if has_magic(part))
    first = parts[at]
    end = next(end for end, character in enumerate(first) if character in "*?[")
    return "/".join(parts[:at]), first[:end]


def is_hidden(name: str, folder: str) -> bool:
    """Whether a name below a folder, or a folder between the two, begins with a dot."""
    return _any_hidden(name.removeprefix(folder.rstrip("/")).split("/"))


def matcher(pattern: str) -> Callable[[str], bool | None]:
    """A function that takes the name of a file and returns True if it matches, False if it is below
    a folder that matches, otherwise None."""
    only_folders = pattern.endswith("/")
    parts = pattern.rstrip("/").split("/")

    def match(name: str) -> bool | None:
        found = _match(parts, name.split("/"))
        return None if found and only_folders else found

    return match


def _match(parts: Sequence[str], names: Sequence[str]) -> bool | None:
    """Whether the parts of a name match those of a pattern. The states are the parts of the pattern
    that may come next, so the time is the product of both lengths."""
    states = {0}
    below = False
    for name in names:
        states = _behind_stars(parts, states)
        hidden = name.startswith(".")
        if hidden:
            below = False
        elif len(parts) in states or (len(parts) - 1 in states and parts[-1] == "**"):
            below = True
        following = set()
        for at in states:
            if at == len(parts):
                continue
            if parts[at] == "**":
                following |= set() if hidden else {at}
            elif (not hidden or parts[at].startswith(".")) and fnmatch.fnmatchcase(name, parts[at]):
                following.add(at + 1)
        states = following
    if len(parts) in states:
        return True
    return False if below else None


def _behind_stars(parts: Sequence[str], states: set[int]) -> set[int]:
    """The states, and those after a ``**`` that stands for no folder; none after the last one,
    because it stands for a folder itself."""
    found = set(states)
    for at in states:
        while at < len(parts) - 1 and parts[at] == "**":
            at += 1
            found.add(at)
    return found


def _any_hidden(names: Sequence[str]) -> bool:
    return any(name.startswith(".") for name in names)
