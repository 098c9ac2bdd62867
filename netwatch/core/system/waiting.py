"""Waits until there is something to read: with poll(2), which knows no limit of descriptors.

Windows can wait for sockets only. What it cannot wait for counts as readable: to read it waits."""

import select
import sys

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
