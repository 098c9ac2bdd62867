"""Creates files that name people: what devices did, and with whom.

Such a file is readable for its owner and group only, whatever the umask. A file that exists keeps
the permissions that its administrator gave it, as with rsyslog and logrotate: a log shipper may
have been granted access to it.
"""

import contextlib
import os
from pathlib import Path

from netwatch.core.system.opening import O_CLOEXEC, set_mode
from netwatch.core.system.users import change_owner, is_root

MODE = 0o640
"""Permissions of a new file."""

FOLDER_MODE = 0o750
"""Permissions of a new folder."""


def open_for_append(path: str | Path, flags: int = 0) -> int:
    """The descriptor of a file to append to, which is created with `MODE` where it does not
    exist. `flags` are added to those of open(2). Raises `OSError`."""
    append = os.O_WRONLY | os.O_APPEND | O_CLOEXEC | flags
    try:
        descriptor = os.open(path, append | os.O_CREAT | os.O_EXCL, MODE)
    except FileExistsError:
        # Also a symbolic link whose target does not exist yet; open(2) with O_EXCL follows none.
        is_new = not os.path.exists(path)  # noqa: PTH110 - path may be a string
        descriptor = os.open(path, append | os.O_CREAT, MODE)
        if not is_new:
            return descriptor
    restrict(descriptor)
    return descriptor


def restrict(descriptor: int, mode: int = MODE) -> None:
    """Give a new file these permissions, whatever the umask was. On a file system without
    permissions (FAT, some network shares) its mount options decide, and nothing fails."""
    with contextlib.suppress(OSError):
        set_mode(descriptor, mode)


def give_to_owner(new: int | Path, folder: Path) -> None:
    """Where root writes into the folder of another user, a new file (by its descriptor or path) is
    that user's, too: else a service could not read what a command of its administrator wrote.
    Raises `OSError`."""
    if is_root():
        change_owner(new, folder.stat())


def set_permissions(descriptor: int, replaced: Path) -> None:
    """Give a new file the permissions of the file `replaced` that it will replace, with its owner
    and group as far as this process may; `MODE` where there is no such file."""
    try:
        status = replaced.stat()
    except OSError:
        restrict(descriptor)
        return
    with contextlib.suppress(OSError):
        change_owner(descriptor, status)
    # After the change of the owner, which clears set-user-id bits.
    restrict(descriptor, status.st_mode & 0o777)
