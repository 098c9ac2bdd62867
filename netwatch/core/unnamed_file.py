"""A file that has no name until it is complete, so that nothing of it stays where its process is
killed before.

Linux has such files (O_TMPFILE of open(2)) in most file systems. Elsewhere the file has a hidden
name, under which it is removed at the end.
"""

import contextlib
import os
from pathlib import Path
from typing import Self

from netwatch.core.private_folder import forget, remove_at_end
from netwatch.core.system.opening import O_CLOEXEC, O_TMPFILE

_DESCRIPTORS = "/proc/self/fd"


class UnnamedFile:
    """A new file in the folder of `target`, for its owner only, which replaces `target` when it is
    complete. It is a context. Raises `OSError`; all methods do so."""

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
