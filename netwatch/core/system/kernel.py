"""What else is asked of the system in its own way: a clock that nobody can set, memory page by
page, what is known of a connection, and waiting with poll(2), which knows no limit of descriptors.

Windows can wait for sockets only. What it cannot wait for counts as readable: to read it waits.
"""

import mmap
import select
import struct
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

if sys.platform != "win32":

    class Readable:
        """Whether a descriptor has something to read, or has ended."""

        def __init__(self, descriptor: int) -> None:
            self._poll = select.poll()
            self._poll.register(descriptor, select.POLLIN)

        def wait(self, seconds: float) -> bool:
            """Whether it has within `seconds`."""
            return bool(self._poll.poll(1000 * max(0.0, seconds)))

else:

    class Readable:
        """As above, of a socket."""

        def __init__(self, descriptor: int) -> None:
            self._descriptor = descriptor

        def wait(self, seconds: float) -> bool:
            """As above."""
            try:
                return bool(select.select([self._descriptor], [], [], max(0.0, seconds))[0])
            except OSError:
                return True


def steady_seconds() -> float:
    """Seconds that increase evenly, whatever is done to the wall clock; on Linux also while the
    machine sleeps (CLOCK_BOOTTIME, clock_gettime(2))."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def private_pages(size: int) -> mmap.mmap:
    """`size` bytes of zeros. A process that is forked gets a copy, so that it does not write into
    the tables of its parent; Windows forks none. Raises `OSError`."""
    if sys.platform == "win32":
        return mmap.mmap(-1, size)
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def unacknowledged_bytes(connection: "socket.socket") -> int:
    """Bytes that the receiver's kernel has not acknowledged; 0 if our kernel cannot tell."""
    if sys.platform == "win32":
        return 0
    import fcntl
    import termios

    try:
        answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])
