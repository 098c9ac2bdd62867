"""Appends to a file at once, and buffers in memory what a full disk refuses.

Writing to a file waits for no reader, so it needs no thread: what `put` could write is in the file
when it returns. After a crash no incident is known as reported whose record is missing.
"""

import contextlib
import errno
import os
import stat

from netwatch.core.private_files import open_for_append


class FileAppender:
    """Appends to `descriptor`, the open file `path`, which this object owns.

    `error` is the error of the last write, None where it succeeded; data that could not be written
    stays queued.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        # A crash or a full disk may have cut the last line, which the next one must not continue.
        self._queue = bytearray(b"\n" if _ends_within_a_line(path) else b"")
        self.error: OSError | None = None

    @property
    def queued(self) -> int:
        """Bytes that have not been written yet."""
        return len(self._queue)

    def put(self, data: bytes, *, required: bool = False) -> bool:
        """Append data, now or with a later call; always True."""
        self._queue += data
        self.flush()
        return True

    def flush(self) -> None:
        """Try to write what is queued."""
        self.error = None
        try:
            while self._queue:
                del self._queue[: os.write(self._descriptor, self._queue)]
        except OSError as error:
            self.error = error

    def reopen(self) -> None:
        """Open the file anew where its path now leads to another file or to none, as after a log
        rotation. Raises `OSError`; the file that was open stays in use then."""
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(self._path), os.fstat(self._descriptor)):  # noqa: PTH116
                return
        # A pipe without a reader would block.
        descriptor = open_for_append(self._path, os.O_NONBLOCK)
        if not is_regular(descriptor):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "is not a regular file any more")
        os.close(self._descriptor)
        self._descriptor = descriptor

    def close(self, timeout: float) -> int:
        """Write the rest and close the file; the bytes that could not be written."""
        self.flush()
        os.close(self._descriptor)
        return len(self._queue)


def _ends_within_a_line(path: str) -> bool:
    """Whether the last byte of a file is not the end of a line; False where it cannot be read."""
    with contextlib.suppress(OSError), open(path, "rb") as stream:  # noqa: PTH123
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) != b"\n"
    return False


def is_regular(descriptor: int) -> bool:
    """Whether a descriptor is that of a regular file, not of a pipe, terminal or device."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)
