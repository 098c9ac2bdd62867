"""Which process delivers from an outbox: one at a time.

Other processes may add alerts to the outbox. One of them takes over when the delivering process
ends, however it ends, because the kernel then releases its lock (flock).
"""

import fcntl
import os
import threading
from pathlib import Path

FILE = "lock"
"""The name of the lock file in the folder of the outbox."""


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
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
            return True

    def release(self) -> None:
        """Release the lock if this process has it."""
        with self._mutex:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
