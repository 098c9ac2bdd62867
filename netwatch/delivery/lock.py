"""Which process delivers from an outbox, one at a time, and who has the outbox open.

Other processes may add alerts to the outbox. One of them takes over when the delivering process
ends, however it ends, because the kernel then releases its lock. To replace a damaged
outbox, the delivering process waits until nobody has it open.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.core.system.files import O_CLOEXEC, O_NOFOLLOW, lock

FILE = "lock"
"""The name of the lock file in the folder of the outbox."""

USE_FILE = "lock.use"
"""The name of the file that everybody locks, shared, who has the outbox open."""


def lock_use(folder: Path) -> int:
    """Note that the outbox in `folder` is open. Returns a descriptor, to be closed afterwards.
    Raises `NetwatchError` while the outbox is being replaced."""
    return _lock_now(folder, "it is being replaced")


@contextmanager
def unused(folder: Path) -> Iterator[None]:
    """A context within which nobody has the outbox in `folder` open. Raises `NetwatchError` if
    somebody has."""
    descriptor = _lock_now(folder, "it is open in another process", exclusive=True)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock_now(folder: Path, taken: str, *, exclusive: bool = False) -> int:
    path = folder / USE_FILE
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0o600)
        try:
            lock(descriptor, exclusive=exclusive)
        except BaseException:
            os.close(descriptor)
            raise
    except BlockingIOError:
        raise NetwatchError(f"the outbox in {folder} cannot be opened: {taken}") from None
    except OSError as error:
        raise NetwatchError(f"{path}: cannot be locked: {error.strerror}") from None
    return descriptor


class DeliveryLock:
    """The exclusive right to deliver from the outbox in `folder`, shared by all threads of a
    process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._descriptor: int | None = None
        self._mutex = threading.Lock()

    @property
    def is_held(self) -> bool:
        """Whether this process has the lock."""
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Take the lock unless another process has it; whether this process has it now. Raises
        OSError."""
        with self._mutex:
            if self._descriptor is not None:
                return True
            flags = os.O_CREAT | os.O_RDWR | O_CLOEXEC | O_NOFOLLOW
            descriptor = os.open(self._path, flags, 0o600)
            try:
                lock(descriptor, exclusive=True)
            except BlockingIOError:
                os.close(descriptor)
                return False
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
            return True

    def is_free(self) -> bool:
        """Whether no process has the lock. Raises OSError."""
        if self._descriptor is not None:
            return False
        try:
            descriptor = os.open(self._path, os.O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        except FileNotFoundError:
            return True
        try:
            lock(descriptor, exclusive=False)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def release(self) -> None:
        """Release the lock if this process has it."""
        with self._mutex:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
