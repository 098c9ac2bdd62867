"""A folder that stays the same while its files are read and written, whatever becomes of its path.

On POSIX it is a descriptor, to which the names of files are relative (openat(2)). Windows has none,
so there its path is used; nobody else can exchange a folder in the profile of a user.
"""

import os
import stat
import sys
from pathlib import Path
from typing import Self

from netwatch.core.system.opening import O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW


class OpenFolder:
    """The folder at `path`, until it is closed; it is a context. Raises `OSError`, also where a
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
        """The status of a file, no symbolic link followed, or of the folder itself."""
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
        """Give a file, which is no symbolic link, the present time."""
        if self._descriptor is None:
            os.utime(self._at(name))
        else:
            os.utime(name, dir_fd=self._descriptor, follow_symlinks=False)

    def replace(self, name: str, new: str) -> None:
        """Give a file another name; a file that has it is replaced."""
        at = self._descriptor
        os.replace(self._at(name), self._at(new), src_dir_fd=at, dst_dir_fd=at)

    def remove(self, name: str) -> None:
        """Delete a file."""
        os.unlink(self._at(name), dir_fd=self._descriptor)

    def remove_tree(self, name: str) -> None:
        """Delete a file, or a folder with all that is in it; no symbolic link is followed."""
        if stat.S_ISDIR(self.status(name).st_mode):
            import shutil  # not at the top, because it imports every compression

            shutil.rmtree(self._at(name), dir_fd=self._descriptor)
        else:
            self.remove(name)
