"""A network namespace with a veth pair in it: what is sent into ``out`` comes out of ``in``.

Nothing that is sent there leaves it. It takes root and `ip`; what else a measurement needs
is asked for by name.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import ENVIRONMENT, ROOT

_NEWNET = 0x40000000
MTU = 1500
WAIT = 30.0
"""Seconds after which what is waited for is taken not to come."""


class MissingError(Exception):
    """A measurement cannot be made here; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace by its name."""

    name: str

    def inside(self, *command: str) -> list[str]:
        """The call that runs a command in it."""
        return ["ip", "netns", "exec", self.name, *command]

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

    def start(self, command: Sequence[str], **streams: Any) -> subprocess.Popen[bytes]:
        """Begin a command in it, in the root of the project."""
        return subprocess.Popen(self.inside(*command), cwd=ROOT, env=ENVIRONMENT, **streams)


def need(*programs: str) -> None:
    """Raise `MissingError` unless there are root and these programs."""
    if os.geteuid() != 0:
        raise MissingError("network namespaces take root")
    missing = [name for name in ("ip", *programs) if shutil.which(name) is None]
    if missing:
        raise MissingError(f"not installed: {', '.join(missing)}")


@contextlib.contextmanager
def pair() -> Iterator[Place]:
    """A namespace with a veth pair that is up, for as long as the context lasts."""
    place = Place(f"netwatch-bench-{os.getpid()}")
    _run("ip", "netns", "add", place.name)
    try:
        # Hosts with IPv6 talk by themselves.
        for scope in ("all", "default"):
            setting = f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"
            _run(*place.inside("sh", "-c", f"test ! -e {setting} || echo 1 >{setting}"))
        link = ("ip", "-n", place.name, "link")
        _run(*link, "add", "out", "mtu", str(MTU), "type", "veth", "peer", "name", "in")
        for name in ("lo", "out", "in"):
            _run(*link, "set", name, "up")
        _run(*link, "set", "in", "mtu", str(MTU))
        yield place
    finally:
        _run("ip", "netns", "del", place.name)


def says(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has written a text to its log."""
    deadline = time.monotonic() + WAIT
    while text not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no {text!r} came:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    """End a process and wait for it; its exit status."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(2 * WAIT)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def family(pid: int) -> list[int]:
    """A process and those below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        below = [int(word) for word in children.read_text().split()]
    except OSError:
        return []
    return [pid, *(each for child in below for each in family(child))]


def resident(pid: int) -> dict[int, int]:
    """Resident bytes of a process and of those below it, of their own memory alone: files and
    the ring, which is as large as it was asked for, do not count."""
    found = {}
    for each in family(pid):
        try:
            status = Path(f"/proc/{each}/status").read_text()
        except OSError:
            continue
        told = re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)
        if told:
            found[each] = int(told[1]) * 1024
    return found


def cpu(pid: int) -> float:
    """CPU seconds that a process and those below it have used."""
    ticks = 0
    for each in family(pid):
        with contextlib.suppress(OSError):
            ticks += sum(map(int, Path(f"/proc/{each}/stat").read_text().split()[13:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _enter(number: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(number, _NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
