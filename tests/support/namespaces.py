"""Network namespaces with veth pairs in them: nothing that is sent there leaves them."""

import contextlib
import ctypes
import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from netwatch.capture import interfaces
from netwatch.capture import privileges as rights

_NEWNET = 0x40000000
_RIGHTS = 1 << 12 | 1 << 13 | 1 << 21  # CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN
_NUMBERS = itertools.count(1)


def missing() -> str:
    """Why there can be no namespaces here; empty where there can."""
    held = rights.capabilities()
    if held is None or held & _RIGHTS != _RIGHTS:
        return "namespaces take Linux and root with all its capabilities"
    if shutil.which("ip") is None:
        return "not installed: ip"
    return ""


needed = pytest.mark.skipif(bool(missing()), reason=missing() or "namespaces are there")
"""Skips where there can be no namespaces."""


@dataclass(frozen=True)
class Namespace:
    """A namespace by its name."""

    name: str

    def ip(self, *words: str) -> str:
        """Run ``ip`` in it."""
        done = subprocess.run(
            ["ip", "-n", self.name, *words], capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The thread that runs is in it meanwhile; sockets made there stay in it."""
        with Path("/proc/thread-self/ns/net").open("rb") as home:
            with Path(f"/run/netns/{self.name}").open("rb") as there:
                _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def pair(self, one: str, other: str, mtu: int = 1500) -> None:
        """A veth pair that is up: what goes into `one` comes out of `other`."""
        self.ip("link", "add", one, "type", "veth", "peer", "name", other)
        for name in (one, other):
            self.ip("link", "set", name, "mtu", str(mtu), "up")
        self.settled(one, other)

    def settled(self, *names: str) -> None:
        """Wait until the links of interfaces are there: before, what is sent is lost."""
        deadline = time.monotonic() + 30
        with self.entered(), interfaces.asked() as asked:
            while not all(interfaces.look(asked, name).running for name in names):
                assert time.monotonic() < deadline, f"no link: {names}"
                time.sleep(0.002)

    def sender(self, name: str) -> "Sender":
        """What sends frames into an interface."""
        with self.entered():
            return Sender(name)


class Sender:
    """Sends frames as they are."""

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
def namespace() -> Iterator[Namespace]:
    """One without IPv6, whose hosts would talk by themselves; skips where that cannot be."""
    made = Namespace(f"netwatch-{os.getpid()}-{next(_NUMBERS)}")
    done = subprocess.run(["ip", "netns", "add", made.name], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    try:
        with made.entered(), contextlib.suppress(OSError):
            # A kernel without IPv6 has nothing to switch off.
            for scope in ("all", "default"):
                Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6").write_text("1")
        made.ip("link", "set", "lo", "up")
        yield made
    finally:
        subprocess.run(["ip", "netns", "del", made.name], check=True)


def frames_of(blocks: Iterable[object]) -> list[bytes]:
    """The packets of blocks, with the tags that the card had stripped put back."""
    found = []
    for block in blocks:
        for at in range(0, block.count * 6, 6):
            _, offset, captured, _, _, tag = block.records[at : at + 6]
            packet = bytes(block.data[offset : offset + captured])
            if tag >= 0:
                packet = packet[:12] + tag.to_bytes(4, "big") + packet[12:]
            found.append(packet)
    return found
