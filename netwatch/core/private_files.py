"""Files that name people, what devices did and with whom: only their owner and group can read them.

An existing file keeps the permissions that its administrator gave it, as with rsyslog and
logrotate: a log shipper may have been granted access to it. Where the system allows it, a new file
has no name until it is complete, so nothing remains if its process is killed before.

A folder for temporary files is created below the folder of the store in use (`below`), otherwise in
the system's folder for temporary files. It is removed when its context ends, and on SIGTERM, SIGHUP
and SIGQUIT. After SIGKILL or a power failure it is removed by `remove_ended`, which every run calls
when it begins. Each folder has a file that identifies it and is locked for as long as a process of
the run lives, so that neither the folder of a running process is removed, nor one of another
program.
"""

import atexit
import contextlib
import os
import re
import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from netwatch.core.system.files import (
    O_CLOEXEC,
    O_NOFOLLOW,
    O_TMPFILE,
    OpenFolder,
    change_owner,
    is_owned,
    is_root,
    lock,
    set_mode,
)

LOCK = "netwatch.lock"
"""The file in each folder that is locked while the folder is in use."""

MARK = b"temporary files of netwatch\n"
"""The content of that file."""

_ENDED = "-ended"
_NAME = re.compile(rf"netwatch-[0-9]+-[0-9a-f]{{8}}({_ENDED})?")
_SIGNALS = ("SIGTERM", "SIGHUP", "SIGQUIT")

_ours: dict[Path, int] = {}
"""The files to remove at the end, and the process that created them: a forked process has a
copy."""

_home: Path | None = None
_looked_at: set[Path] = set()
_DESCRIPTORS = "/proc/self/fd"
MODE = 0o640
"""Permissions of a new file."""

FOLDER_MODE = 0o750
"""Permissions of a new folder."""


class PrivateFolder:
    """A new folder that only this user can read, until `remove`; a context manager that gives its
    path. With `is_short` it is never below a store: paths of sockets are limited. Raises `OSError`
    if there is no place for one."""

    def __init__(self, *, is_short: bool = False) -> None:
        self.path, self._lock = _create_anywhere(None if is_short else _home)
        remove_at_end(self.path)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Delete the folder and its content."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        _remove(self.path)
        forget(self.path)


@contextlib.contextmanager
def below(store: str | None) -> Iterator[None]:
    """The context of a run: its temporary files are below the folder of this store, if there is one
    that can be written to. Leftovers of ended runs, there or in the system's folder, are
    removed."""
    global _home
    before, _home = _home, home_of(store)
    try:
        for place in places(store):
            remove_ended(place)
        yield
    finally:
        _home = before


def home_of(store: str | None) -> Path | None:
    """The folder of a store; None if it is at a URL."""
    return Path(store) if store and "://" not in store else None


def places(store: str | None) -> list[Path]:
    """The folders that can contain temporary files of runs with this store."""
    # The module `tempfile` would look for a writable one, which takes longer.
    system = Path(os.environ.get("TMPDIR") or "/tmp")
    home = home_of(store)
    return [system] if home is None else [home, system]


def remove_ended(place: Path) -> int:
    """Remove the folders in `place` of this user's runs that have ended, and return how many. Root
    also removes those of the owner of `place`."""
    return sum(map(_remove_unused, list(_folders(place))))


def ended(place: Path) -> list[Path]:
    """The folders that `remove_ended` would remove."""
    return [path for path in _folders(place) if _is_unused(path)]


def in_use(place: Path) -> list[Path]:
    """The folders of running processes."""
    return [path for path in _folders(place) if not _is_unused(path)]


def remove_at_end(path: Path) -> None:
    """Remove a file or folder when this process exits or is told to end, unless `forget` was called
    for it. Signals that the program handles itself are left to it."""
    if not _ours:
        _catch_signals()
    _ours[path] = os.getpid()


def forget(path: Path) -> None:
    """Undo `remove_at_end`."""
    _ours.pop(path, None)
    if not _ours:
        _release_signals()


def _create_anywhere(home: Path | None) -> tuple[Path, int]:
    if home is not None:
        # Some users may read a store but not write to it.
        with contextlib.suppress(OSError):
            return _create(home)
    import tempfile  # not at the top, because most runs need no folder

    return _create(Path(tempfile.gettempdir()))


def _create(place: Path) -> tuple[Path, int]:
    """A new folder in `place`, and the descriptor of its lock."""
    if place not in _looked_at:
        _looked_at.add(place)
        remove_ended(place)
    while True:
        path = place / f"netwatch-{os.getpid()}-{os.urandom(4).hex()}"
        path.mkdir(0o700)
        try:
            descriptor = _locked(path / LOCK)
        except OSError as error:
            _remove(path)
            raise OSError(error.errno, error.strerror, str(path)) from None
        if descriptor is not None:
            return path, descriptor


def _locked(file: Path) -> int | None:
    """The descriptor of a new lock file; None if its folder is gone, because it looked like a
    leftover until the file was locked."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | O_NOFOLLOW | O_CLOEXEC
    try:
        descriptor = os.open(file, flags, 0o600)
    except FileNotFoundError:
        return None
    try:
        os.write(descriptor, MARK)
        lock(descriptor, exclusive=False, wait=True)
        if os.path.samestat(os.fstat(descriptor), file.stat()):
            return descriptor
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _folders(place: Path) -> Iterator[Path]:
    """The folders in `place` whose names and owners match temporary files."""
    try:
        owner = place.stat().st_uid
        with os.scandir(place) as found:
            names = [entry for entry in found if _NAME.fullmatch(entry.name)]
    except OSError:
        return
    for entry in names:
        with contextlib.suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            is_allowed = is_owned(status) or (is_root() and status.st_uid == owner)
            if is_allowed and stat.S_ISDIR(status.st_mode):
                yield place / entry.name


def _is_unused(path: Path) -> bool:
    try:
        with OpenFolder(path) as folder, _unused(folder) as is_unused:
            return is_unused
    except OSError:
        return False


def _remove_unused(path: Path) -> bool:
    """Remove a folder that is not in use; False if it is."""
    try:
        with OpenFolder(path) as folder, _unused(folder) as is_unused:
            if is_unused:
                _empty(folder)
        if is_unused:
            (path / LOCK).unlink(missing_ok=True)  # Windows removes no file that is open
            path.rmdir()
    except OSError:
        return False
    return is_unused


@contextlib.contextmanager
def _unused(folder: OpenFolder) -> Iterator[bool]:
    """Whether a folder is one of temporary files that is not in use. Nobody can start using it
    within the context."""
    try:
        descriptor = folder.open(LOCK, os.O_RDWR | O_NOFOLLOW)
    except FileNotFoundError:
        # Its creator died before, or when everything else was removed.
        yield not folder.names()
        return
    try:
        if os.read(descriptor, len(MARK) + 1) != MARK:
            yield False
            return
        try:
            lock(descriptor, exclusive=True)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove a folder of this process, or a file."""
    if not path.is_dir():
        with contextlib.suppress(OSError):
            path.unlink()
        return
    # Then other processes of the run cannot add a file.
    gone = path.with_name(path.name + _ENDED)
    with contextlib.suppress(OSError):
        path.rename(gone)
        with OpenFolder(gone) as folder:
            _empty(folder)
        gone.rmdir()


def _empty(folder: OpenFolder) -> None:
    """Remove all files in a folder, and last the lock, by which the folder is recognised."""
    for name in folder.names():
        if name != LOCK:
            folder.remove_tree(name)
    with contextlib.suppress(FileNotFoundError, PermissionError):
        folder.remove(LOCK)


def _remove_ours(*_: object) -> None:
    """Remove what this process has to remove, but not what the process that forked it has to."""
    for path, process in list(_ours.items()):
        if process == os.getpid():
            _remove(path)


def _end(number: int, _: object) -> None:
    """End by a signal as any program does, after removing what has to be removed."""
    _remove_ours()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _catch_signals() -> None:
    if threading.current_thread() is threading.main_thread():
        for number in _numbers():
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _end)


def _release_signals() -> None:
    if threading.current_thread() is threading.main_thread():
        for number in _numbers():
            if signal.getsignal(number) is _end:
                signal.signal(number, signal.SIG_DFL)


def _numbers() -> list[int]:
    return [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]


atexit.register(_remove_ours)


class UnnamedFile:
    """A new file in the folder of `target`, readable by its owner only, which replaces `target`
    when it is complete. It is a context manager. All methods raise `OSError`."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._name: Path | None = None
        self.descriptor = -1
        if O_TMPFILE and os.path.isdir(_DESCRIPTORS):  # noqa: PTH112 - a link of the kernel
            with contextlib.suppress(OSError):
                self.descriptor = os.open(target.parent, O_TMPFILE | os.O_RDWR | O_CLOEXEC, 0o600)
        if self.descriptor < 0:
            self._name = self._hidden()
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | O_CLOEXEC
            self.descriptor = os.open(self._name, flags, 0o600)
            remove_at_end(self._name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        if self._name is not None:
            self._name.unlink(missing_ok=True)
            forget(self._name)

    def replace_target(self) -> None:
        """Give the file its name, and close it."""
        name = self._name
        if name is None:
            name = self._hidden()
            folder = os.open(_DESCRIPTORS, os.O_RDONLY | O_CLOEXEC)
            try:
                # With a folder given, os.link(3) follows the link to the file.
                os.link(str(self.descriptor), name, src_dir_fd=folder, follow_symlinks=True)
            finally:
                os.close(folder)
        self._close()
        name.replace(self._target)

    def _close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _hidden(self) -> Path:
        return self._target.with_name(f".{self._target.name}.{os.urandom(6).hex()}")


def open_for_append(path: str | Path, flags: int = 0) -> int:
    """The descriptor of a file to append to, created with `MODE` if it does not exist. `flags` are
    added to those of open(2). Raises `OSError`."""
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
    """Give a new file these permissions, whatever the umask is. On a file system without
    permissions (FAT, some network shares) its mount options decide, and nothing fails."""
    with contextlib.suppress(OSError):
        set_mode(descriptor, mode)


def give_to_owner(new: int | Path, folder: Path) -> None:
    """If root writes into another user's folder, give that user a new file (by its descriptor or
    path): otherwise a service could not read what its administrator's command wrote. Raises
    `OSError`."""
    if is_root():
        change_owner(new, folder.stat())


def set_permissions(descriptor: int, replaced: Path) -> None:
    """Give a new file the permissions of the file `replaced` that it will replace, with its owner
    and group as far as this process may; `MODE` if there is no such file."""
    try:
        status = replaced.stat()
    except OSError:
        restrict(descriptor)
        return
    with contextlib.suppress(OSError):
        change_owner(descriptor, status)
    # After the change of the owner, which clears set-user-id bits.
    restrict(descriptor, status.st_mode & 0o777)
