"""Files that a user names, read whole and within bounds; some of them decide what netwatch does.

The name may be that of anything: a folder, a device that never ends, a pipe into which nobody
writes. So a file is opened without waiting, it must be a regular file or a pipe (shells give a pipe
for ``<(command)``), and size and waiting time are limited.

Configuration, signatures, keys, inventories and secrets decide what netwatch does, and so do users
who can write to them. So such a file that its group or everybody may write to is refused, as by
OpenSSH and sudo, with the command that mends it; its owner's private group may, as on systems whose
umask is 002. A file that nobody named, but that lay in the current folder, must also belong to root
or to the user of this process. Windows has no such permissions, and nothing is refused there.
"""

import os
import shlex
import stat
import time
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.core.system.files import (
    O_CLOEXEC,
    O_NONBLOCK,
    has_private_group,
    is_root_or_own,
    others_may_write,
    user_id,
)
from netwatch.core.text import quantity

MAX_FILE_BYTES = 256 << 20
"""Bytes of a file that a user wrote. A million domains or devices take some 90 MB."""

MAX_PIPE_SECONDS = 10.0
"""How long a pipe may take until its writer has closed it, in s."""

_CHUNK = 1 << 20
_BAD_NAME = "cannot be read: the name contains a NUL byte or an invalid character"

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
Tell = Callable[[Path], None]

_TELL: ContextVar[Tell | None] = ContextVar("tell", default=None)


def read_user_file(
    path: Path,
    limit: int | None = None,
    check: Callable[[os.stat_result], None] | None = None,
) -> bytes:
    """The content of a file or pipe; `limit` in bytes is `MAX_FILE_BYTES` unless given. `check`
    raises `NetwatchError` if the file is not to be read.

    Raises `NetwatchError` if there is no such file, it is of another kind, larger, or a pipe that
    is not closed in time; its text continues a sentence: ``cannot be read: ...``.
    """
    limit = MAX_FILE_BYTES if limit is None else limit
    try:
        descriptor = os.open(path, os.O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    except OSError as error:
        raise NetwatchError(f"cannot be read: {error.strerror}") from None
    except ValueError:  # a NUL character, or a character that is not in the file system's encoding
        raise NetwatchError(
            "cannot be read: the name contains a NUL byte or an invalid character"
        ) from None
    try:
        status = os.fstat(descriptor)
        kind = next((words for is_kind, words in _KINDS if is_kind(status.st_mode)), None)
        if kind:
            raise NetwatchError(f"cannot be read: expected a file, found {kind}")
        if check is not None:
            check(status)
        if status.st_size > limit:
            raise _too_large(limit)
        return _read(descriptor, limit, is_pipe=stat.S_ISFIFO(status.st_mode))
    except OSError as error:
        raise NetwatchError(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)


def require_regular_file(path: Path) -> None:
    """For a file that a library opens: raises `NetwatchError` if there is something else, such as
    a pipe, for which it would wait."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise NetwatchError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise NetwatchError(
            "cannot be read: the name contains a NUL byte or an invalid character"
        ) from None
    kinds = (*_KINDS, (stat.S_ISFIFO, "a pipe"))
    kind = next((words for is_kind, words in kinds if is_kind(mode)), None)
    if kind:
        raise NetwatchError(f"cannot be read: expected a file, found {kind}")


def _read(descriptor: int, limit: int, *, is_pipe: bool) -> bytes:
    chunks: list[bytes] = []
    size = 0
    end = time.monotonic() + MAX_PIPE_SECONDS
    if is_pipe:
        from netwatch.core.system.kernel import Readable  # most files are no pipes

        readable = Readable(descriptor)
    while True:
        # A pipe without a writer reads as empty until it had one, so it is waited for.
        if is_pipe and not readable.wait(end - time.monotonic()):
            seconds = quantity(int(MAX_PIPE_SECONDS), "second")
            raise NetwatchError(
                f"cannot be read: expected a pipe whose writer closes it within {seconds}"
            )
        chunk = os.read(descriptor, min(_CHUNK, limit + 1 - size))
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)


def _too_large(limit: int) -> NetwatchError:
    return NetwatchError(f"cannot be read: expected at most {limit:,} bytes, found more")


def tell_of_found(tell: Tell | None) -> None:
    """From now on `tell` is called, once and in this thread, for a file that was found and read."""
    _TELL.set(tell)


def read_trusted_file(path: Path, limit: int | None = None, *, found: bool = False) -> bytes:
    """Like `read_user_file`, for a file to which nobody but its owner may write. One that was
    `found`, and that nobody named, belongs to root or to the user of this process."""

    def check(status: os.stat_result) -> None:
        if found and not is_root_or_own(status):
            raise NetwatchError(
                "is refused: this file was not named with -c, and it belongs to user"
                f" {status.st_uid}:"
                f" name it with -c, or chown {user_id()} {shlex.quote(str(path))}"
            )
        refuse_writable(path, status)

    content = read_user_file(path, limit, check)
    tell = _TELL.get()
    if found and tell is not None:
        tell_of_found(None)
        tell(path)
    return content


def refuse_writable(path: Path, status: os.stat_result | None = None) -> None:
    """Raises `NetwatchError` if others than its owner may write to a file or folder. A file that is
    not there is no mistake here. Its text continues a sentence."""
    if status is None:
        try:
            status = path.stat()
        except (OSError, ValueError):
            return
    everybody = bool(status.st_mode & stat.S_IWOTH)
    if others_may_write(status) and (everybody or not has_private_group(status)):
        raise NetwatchError(
            f"is refused: users other than its owner can write to it (mode"
            f" {stat.S_IMODE(status.st_mode):04o}): chmod go-w {shlex.quote(str(path))}"
        )


def foreign_owner(path: Path) -> int | None:
    """The user to whom a file belongs, if that is neither root nor the user of this process."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return None if is_root_or_own(status) else status.st_uid
