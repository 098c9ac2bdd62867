"""Files that decide what netwatch does: configuration, signatures, keys, inventories, secrets.

Users who can write to such a file decide it too, so a file that its group or everybody may write to
is refused, as by OpenSSH and sudo, with the command that mends it; its owner's private group may,
as on systems whose umask is 002. A file that nobody named, but
that lay in the current folder, must also belong to root or to the user of this process. Windows has
no such permissions, and nothing is refused there.
"""

import os
import shlex
import stat
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.core.system.users import (
    has_private_group,
    is_root_or_own,
    others_may_write,
    user_id,
)
from netwatch.core.user_files import read_user_file

Tell = Callable[[Path], None]

_TELL: ContextVar[Tell | None] = ContextVar("tell", default=None)


def tell_of_found(tell: Tell | None) -> None:
    """From now on `tell` is called, once and in this thread, for a file that was found and read."""
    _TELL.set(tell)


def read_trusted_file(path: Path, limit: int | None = None, *, found: bool = False) -> bytes:
    """Like `read_user_file`, for a file to which nobody but its owner may write. One that was
    `found`, and that nobody named, belongs to root or to the user of this process."""

    def check(status: os.stat_result) -> None:
        if found and not is_root_or_own(status):
            raise NetwatchError(
                f"is refused: nobody named this file, and it belongs to user {status.st_uid}:"
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
