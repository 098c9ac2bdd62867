"""Who delivers from an outbox: one process at a time.

Others may put alerts into it, and take over when that process ends, however it ends:
the kernel then gives the lock up (flock).
"""

import fcntl
import os
import threading
from pathlib import Path

FILE = "lock"
"""In the folder of the spool."""


class Lock:
    """The right to deliver from the outbox in `folder`; for all threads of a process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._handle: int | None = None
        self._mutex = threading.Lock()

    @property
    def held(self) -> bool:
        """Whether this process has it."""
        return self._handle is not None

    def acquire(self) -> bool:
        """Take it if nobody else has it; whether this process has it now. Raises OSError."""
        with self._mutex:
            if self._handle is not None:
                return True
            handle = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                return False
            except BaseException:
                os.close(handle)
                raise
            self._handle = handle
            return True

    def release(self) -> None:
        """Give it up."""
        with self._mutex:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None
