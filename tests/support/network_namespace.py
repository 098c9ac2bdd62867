"""A network namespace: packets that are sent inside of it stay there.

The tests and the benchmarks use it, so it does not depend on pytest. It imports netwatch only when
it is used: the process that runs a benchmark has to stay small.
"""

import contextlib
import ctypes
import itertools
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.waiting import wait_until

_NEWNET = 0x40000000
_CAPABILITIES = 1 << 12 | 1 << 13 | 1 << 21  # CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN
_NUMBERS = itertools.count(1)


def missing_requirements() -> str:
    """Why namespaces cannot be created here; empty where they can."""
    from netwatch.capture import interfaces

    effective = interfaces.effective_capabilities()
    if effective is None or effective & _CAPABILITIES != _CAPABILITIES:
        return "namespaces need Linux and root with all its capabilities"
    if shutil.which("ip") is None:
        return "not installed: ip"
    return ""


class NamespaceError(Exception):
    """A namespace cannot be created here."""


@dataclass(frozen=True)
class Namespace:
    """A network namespace."""

    name: str

    def ip(self, *words: str) -> str:
        """Run ``ip`` inside of it; its output."""
        done = subprocess.run(
            ["ip", "-n", self.name, *words], capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def inside(self, *command: str) -> list[str]:
        """The command line that runs a command inside of it."""
        return ["ip", "netns", "exec", self.name, *command]

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Move the current thread into it. Sockets that are opened meanwhile stay inside."""
        with Path("/proc/thread-self/ns/net").open("rb") as home:
            with Path(f"/run/netns/{self.name}").open("rb") as there:
                _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def pair(self, one: str, other: str, mtu: int = 1500) -> None:
        """Create a veth pair that is up: packets sent to `one` are received on `other`."""
        self.ip("link", "add", one, "type", "veth", "peer", "name", other)
        for name in (one, other):
            self.ip("link", "set", name, "mtu", str(mtu), "up")
        self.wait_for_links(one, other)

    def wait_for_links(self, *names: str) -> None:
        """Wait until interfaces have a link; packets sent earlier would be lost."""
        from netwatch.capture import interfaces

        with self.entered(), interfaces.open_query_socket() as query_socket:
            wait_until(
                lambda: all(interfaces.query_state(query_socket, name).running for name in names),
                interval=0.002,
            )

    def sender(self, name: str) -> "Sender":
        """Opens a socket that sends frames to an interface."""
        with self.entered():
            return Sender(name)


class Sender:
    """Sends frames to an interface."""

    def __init__(self, name: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((name, 0))

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self._socket.send(frame)

    def close(self) -> None:
        self._socket.close()


def _enter(number: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(number, _NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def created() -> Iterator[Namespace]:
    """A new namespace, removed afterwards. IPv6 is disabled, since its hosts would send packets of
    their own. Raises `NamespaceError` where a namespace cannot be created."""
    made = Namespace(f"netwatch-{os.getpid()}-{next(_NUMBERS)}")
    done = subprocess.run(["ip", "netns", "add", made.name], capture_output=True, text=True)
    if done.returncode:
        raise NamespaceError(done.stderr.strip())
    try:
        with made.entered(), contextlib.suppress(OSError):
            # A kernel without IPv6 has nothing to disable.
            for scope in ("all", "default"):
                Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6").write_text("1")
        made.ip("link", "set", "lo", "up")
        yield made
    finally:
        subprocess.run(["ip", "netns", "del", made.name], check=True)
