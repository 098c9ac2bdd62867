"""What a service manager is told: ready, reloading, alive, stopping (sd_notify(3)).

The protocol is one datagram to the socket that ``NOTIFY_SOCKET`` names; where there is
none, nobody asked.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class Notify:
    """Tells the service manager of `environ`, if there is one. `period` is how often it
    wants to hear that all is well, in seconds; None where it does not."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.period: float | None = None
        wanted = environ.get("WATCHDOG_USEC", "")
        if wanted.isdigit() and environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            # Half of it, as sd_watchdog_enabled(3) advises.
            self.period = int(wanted) / 2e6

    def ready(self, status: str) -> None:
        """The capture runs, or runs again after a reload."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """A reload has begun."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def status(self, status: str) -> None:
        """A line for people."""
        self._send(f"STATUS={status}")

    def alive(self) -> None:
        """All is well."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The capture ends."""
        self._send("STOPPING=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # The manager may be busy or gone; a capture does not end for that.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.setblocking(False)
            end.sendto("\n".join(lines).encode(), self._address)
