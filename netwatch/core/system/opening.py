"""The flags of open(2) and what is done with descriptors, where a system lacks some of it.

Windows has no symbolic links that an ordinary user can make, no pipes in folders, no permissions in
this sense, and no descriptors of folders. What a flag guards against does not exist there, so the
flag is 0. It translates line ends, however, unless a file is opened as binary: every call of
`os.open` has `O_CLOEXEC` of this module, which says so.
"""

import contextlib
import os
import sys
from pathlib import Path

O_TMPFILE: int = getattr(os, "O_TMPFILE", 0)
"""That of Linux, for a file without a name; 0 elsewhere."""

if sys.platform == "win32":
    O_CLOEXEC = os.O_NOINHERIT | os.O_BINARY
    O_NOFOLLOW = O_NONBLOCK = O_DIRECTORY = 0
else:
    O_CLOEXEC, O_DIRECTORY = os.O_CLOEXEC, os.O_DIRECTORY
    O_NOFOLLOW, O_NONBLOCK = os.O_NOFOLLOW, os.O_NONBLOCK


def pread(descriptor: int, size: int, offset: int) -> bytes:
    """Up to `size` bytes of a file from `offset` on. The position of the file may change. Raises
    `OSError`."""
    if sys.platform == "win32":
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, size)
    return os.pread(descriptor, size, offset)


def set_mode(descriptor: int, mode: int) -> None:
    """Give an open file these permissions. On Windows the folder that it is in says who may read
    it. Raises `OSError`."""
    if sys.platform != "win32":
        os.fchmod(descriptor, mode)


def sync_folder(folder: Path) -> None:
    """Let a new entry of a folder survive a power failure, where the file system can; Windows
    writes entries with their files. Raises `OSError` where the folder cannot be opened."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
