"""Notifications to the service manager: ready, reloading, watchdog, stopping (sd_notify(3)).

Each is one datagram to the socket that ``NOTIFY_SOCKET`` names. Where that is not set, the
process was not started by a service manager, and nothing is sent.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping

from netwatch.core.text import escaped


class ServiceManager:
    """The service manager that `environ` names, if any. `watchdog_interval` is the time in
    seconds between two watchdog notifications; None where it wants none."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_interval: float | None = None
        timeout = environ.get("WATCHDOG_USEC", "")
        if timeout.isdigit() and environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            # Half of the timeout, as sd_watchdog_enabled(3) recommends.
            self.watchdog_interval = int(timeout) / 2e6

    def ready(self, status: str) -> None:
        """The capture has started, or a reload has ended."""
        self._notify("READY=1", f"STATUS={escaped(status)}")

    def reloading(self) -> None:
        """A reload has begun."""
        self._notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def watchdog(self) -> None:
        """The capture works; without this the service manager restarts it."""
        self._notify("WATCHDOG=1")

    def stopping(self) -> None:
        """The capture is about to end."""
        self._notify("STOPPING=1")

    def extend(self, seconds: float, status: str) -> None:
        """The end makes progress: it may take so long until the next sign of that."""
        self._notify(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}", f"STATUS={escaped(status)}")

    def _notify(self, *lines: str) -> None:
        if not self._address:
            return
        # A service manager that is busy or gone must not end the capture.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.setblocking(False)
            end.sendto("\n".join(lines).encode(), self._address)
