"""Files on different systems: flags of open(2), locks, folders that stay the same, and owners; and
files that are written whole.

On Windows, ordinary users cannot make symbolic links, folders contain no pipes, and there are no
permissions in this sense and no descriptors of folders. What a flag guards against does not exist
there, so the flag is 0. But Windows translates line ends unless a file is opened as binary, so
every call of `os.open` uses `O_CLOEXEC` of this module, which includes that. netwatch keeps its
files there below the user's profile folder, which other users cannot open, so every file counts as
this user's, and nobody is root.
"""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

O_TMPFILE: int = getattr(os, "O_TMPFILE", 0)
"""Linux's flag for a file without a name; 0 elsewhere."""

if sys.platform == "win32":
    O_CLOEXEC = os.O_NOINHERIT | os.O_BINARY
    O_NOFOLLOW = O_NONBLOCK = O_DIRECTORY = 0
else:
    O_CLOEXEC, O_DIRECTORY = os.O_CLOEXEC, os.O_DIRECTORY
    O_NOFOLLOW, O_NONBLOCK = os.O_NOFOLLOW, os.O_NONBLOCK


_LOST = {errno.EIO, errno.ENOSPC, getattr(errno, "EDQUOT", errno.EIO)}
"""Errors of fsync(2) by which something is not on disk. Others mean that the file system cannot
flush a folder."""


def pread(descriptor: int, size: int, offset: int) -> bytes:
    """Up to `size` bytes of a file from `offset` on. The position of the file may change. Raises
    `OSError`."""
    if sys.platform == "win32":
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, size)
    return os.pread(descriptor, size, offset)


def set_mode(descriptor: int, mode: int) -> None:
    """Give an open file these permissions. On Windows the permissions of its folder apply. Raises
    `OSError`."""
    if sys.platform != "win32":
        os.fchmod(descriptor, mode)


def sync_folder(folder: Path) -> None:
    """Make a new entry of a folder survive a power failure, if the file system can; Windows writes
    entries with their files. Raises `OSError` if the folder cannot be opened, or its disk fails or
    is full."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in _LOST:
            raise
    finally:
        os.close(descriptor)


def write_new(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a new file with these permissions, less the umask; it is on disk when this returns.
    Raises `OSError`, also if it exists or is a link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_CLOEXEC | O_NOFOLLOW
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file, or replace it, so that it is whole or as before at any moment. Raises
    `OSError`."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)  # left by a process that was killed
    write_new(new, data, mode)
    new.replace(path)
    sync_folder(path.parent)


@contextlib.contextmanager
def publishing(folder: Path, mode: int, fault: Callable[[str], Exception]) -> Iterator[None]:
    """A context in which nobody else publishes into a folder, which is made with these permissions
    if it is missing. Raises `fault` of a text."""
    try:
        folder.mkdir(mode, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | O_DIRECTORY)
    except OSError as error:
        raise fault(f"{folder}: cannot be made: {error.strerror}") from None
    try:
        lock(descriptor, exclusive=True)
        yield
    except BlockingIOError:
        raise fault(f"{folder}: another process publishes now") from None
    finally:
        os.close(descriptor)


def lock(descriptor: int, *, exclusive: bool, wait: bool = False) -> None:
    """Lock an open file until it is closed, `exclusive` or shared with other shared locks. Raises
    `BlockingIOError` if it is locked otherwise, unless told to `wait`, and `OSError` if it cannot
    be locked.

    The lock is flock(2). On Windows it is a lock of the first byte, always exclusive, and waits for
    ten seconds at most (`msvcrt.locking`).
    """
    if sys.platform == "win32":
        import msvcrt

        kind = msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK
        try:
            msvcrt.locking(descriptor, kind, 1)
        except PermissionError as error:
            raise BlockingIOError(error.errno, "is locked") from None
        return
    import fcntl

    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)


class OpenFolder:
    """The folder at `path`, until it is closed; a context manager. Raises `OSError`, also if a
    symbolic link is there. All methods do so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        if sys.platform != "win32":
            flags = os.O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
            self._descriptor = os.open(path, flags)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _at(self, name: str) -> str:
        return name if self._descriptor is not None else str(self._path / name)

    def status(self, name: str | None = None) -> os.stat_result:
        """The status of a file without following symbolic links, or of the folder itself."""
        if name is not None:
            return os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False)
        return self._path.stat() if self._descriptor is None else os.fstat(self._descriptor)

    def names(self) -> list[str]:
        """The names of all files."""
        return os.listdir(self._path if self._descriptor is None else self._descriptor)  # noqa: PTH208 - or a descriptor

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        """The descriptor of a file; `O_CLOEXEC` is added to the flags."""
        return os.open(self._at(name), flags | O_CLOEXEC, mode, dir_fd=self._descriptor)

    def touch(self, name: str) -> None:
        """Set the times of a file, which is not a symbolic link, to now."""
        if self._descriptor is None:
            os.utime(self._at(name))
        else:
            os.utime(name, dir_fd=self._descriptor, follow_symlinks=False)

    def replace(self, name: str, new: str) -> None:
        """Rename a file; an existing file of that name is replaced."""
        at = self._descriptor
        os.replace(self._at(name), self._at(new), src_dir_fd=at, dst_dir_fd=at)

    def remove(self, name: str) -> None:
        """Delete a file."""
        os.unlink(self._at(name), dir_fd=self._descriptor)

    def remove_tree(self, name: str) -> None:
        """Delete a file, or a folder with its content; symbolic links are not followed."""
        if stat.S_ISDIR(self.status(name).st_mode):
            import shutil  # not at the top, because it imports every compression

            shutil.rmtree(self._at(name), dir_fd=self._descriptor)
        else:
            self.remove(name)


def user_id() -> int:
    """This process's effective user, 0 on Windows, as in `os.stat` of every file there."""
    if sys.platform == "win32":
        return 0
    return os.geteuid()


def is_root() -> bool:
    """Whether this process may read and write everything."""
    return sys.platform != "win32" and os.geteuid() == 0


def is_owned(status: os.stat_result) -> bool:
    """Whether a file belongs to the user of this process."""
    return sys.platform == "win32" or status.st_uid == os.geteuid()


def is_root_or_own(status: os.stat_result) -> bool:
    """Whether a file belongs to root or to the user of this process."""
    return is_owned(status) or status.st_uid == 0


def others_may_write(status: os.stat_result) -> bool:
    """Whether users other than its owner may write to a file or folder."""
    return sys.platform != "win32" and bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def has_private_group(status: os.stat_result) -> bool:
    """Whether the group of a file is the private group that many systems make for each user. Those
    systems let it write to everything its user creates (umask 002)."""
    if sys.platform == "win32":
        return True
    import grp
    import pwd

    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    is_own = group.gr_name == owner.pw_name and group.gr_gid == owner.pw_gid
    return is_own and set(group.gr_mem) <= {owner.pw_name}


def change_owner(new: int | Path, like: os.stat_result) -> None:
    """Give a file, by its descriptor or path, the owner and group of another. Raises `OSError`."""
    if sys.platform != "win32":
        os.chown(new, like.st_uid, like.st_gid)


def host_name() -> str:
    """The name of this machine."""
    if sys.platform != "win32":
        return os.uname().nodename
    import socket

    return socket.gethostname()


def owns_system_folder(folder: Path) -> bool:
    """Whether a folder outside of all homes, such as one below ``/var``, exists and belongs to the
    user of this process. Never on Windows, where everybody could have created it."""
    if sys.platform == "win32":
        return False
    try:
        return folder.stat().st_uid == os.geteuid()
    except OSError:
        return False


def user_ids() -> frozenset[int]:
    """This process's real, effective and saved user, as far as the system tells."""
    if sys.platform == "win32":
        return frozenset({0})
    if sys.platform == "darwin":
        return frozenset({os.getuid(), os.geteuid()})
    return frozenset(os.getresuid())


def group_ids() -> frozenset[int]:
    """This process's real, effective and saved group, as far as the system tells."""
    if sys.platform == "win32":
        return frozenset({0})
    if sys.platform == "darwin":
        return frozenset({os.getgid(), os.getegid()})
    return frozenset(os.getresgid())


def become(user: int, group: int, groups: list[int]) -> None:
    """As root, become another user for good: real, effective and saved. Raises `PermissionError`
    if this process may not."""
    if sys.platform == "win32":
        raise PermissionError
    os.setgroups(groups)
    if sys.platform == "darwin":
        # If root calls them, these change all three (setuid(2)).
        os.setgid(group)
        os.setuid(user)
    else:
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
