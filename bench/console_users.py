"""Those who use a console in the bench: users who have signed in, and the console itself, in a
process of its own.
"""

import http.client
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlencode

from shared import ROOT, free_port, is_listening, wait_until

from netwatch.console.server import IDLE_SECONDS

PASSWORD = "a password of the bench"
TIMEOUT = 600.0
CONFIG = ROOT / "pcaps" / "netwatch.yaml"

_PURPOSE = b'action="/purpose"'
_CSRF = re.compile(rb'name="csrf" value="([0-9a-f]+)"')


class User:
    """Somebody who has signed in, or nobody in particular without a role, with one connection that
    is kept."""

    def __init__(self, port: int, role: str) -> None:
        self.role = role
        self._cookies: dict[str, str] = {}
        self._port = port
        self._sent = time.monotonic()
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        if not role:
            return
        self._post("/sign-in", {"name": role, "password": PASSWORD})

    def get(self, address: str) -> tuple[int, bytes, float]:
        """The status and the content of an answer, read to its end, and the seconds that it took. A
        page on a person that asks for the purpose is told one, and opened again."""
        begin = time.monotonic()
        status, content = self._ask("GET", address)
        if (status == 200 and _PURPOSE in content) or (
            status == 403 and address.startswith("/api/")
        ):
            self._post("/purpose", {"purpose": "a measurement", "next": address}, "/account")
            begin = time.monotonic()
            status, content = self._ask("GET", address)
        return status, content, time.monotonic() - begin

    def size_of(self, address: str) -> int:
        """The bytes of an export, which are not kept."""
        self._send("GET", address, None)
        answer = self._connection.getresponse()
        size = 0
        while piece := answer.read(1 << 16):
            size += len(piece)
        if answer.status != 200:
            raise SystemExit(f"{address}: status {answer.status}")
        return size

    def read_slowly(self, address: str, over: threading.Event) -> None:
        """Take a hundred bytes a second of an answer, until it ends or the time is over."""
        self._send("GET", address, None)
        answer = self._connection.getresponse()
        while not over.wait(0.5) and answer.read(50):
            pass
        self._connection.close()

    def token(self, place: str) -> str:
        """The token of the forms of a page."""
        _, content = self._ask("GET", place)
        found = _CSRF.search(content)
        if found is None:
            raise SystemExit(f"{place}: the page has no form")
        return found[1].decode()

    def send(
        self, method: str, address: str, headers: Mapping[str, bytes], body: bytes | None
    ) -> int:
        """The status of the answer to any request, of which at most a megabyte is read."""
        self._send(method, address, body, headers)
        answer = self._connection.getresponse()
        size = 0
        while piece := answer.read(1 << 16):
            size += len(piece)
            if size > 1 << 20:
                self._connection.close()
                break
        return answer.status

    def _post(self, place: str, fields: dict[str, str], form: str = "") -> None:
        token = self.token(form or place)
        status, _ = self._ask("POST", place, urlencode({"csrf": token, **fields}))
        if status != 303:
            raise SystemExit(f"{place}: {self.role} could not sign in, status {status}")

    def _ask(self, method: str, address: str, body: str | None = None) -> tuple[int, bytes]:
        self._send(method, address, body)
        answer = self._connection.getresponse()
        for line in answer.headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer.status, answer.read()

    def _send(
        self,
        method: str,
        address: str,
        body: str | bytes | None,
        others: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        headers: dict[str, str | bytes] = {"Cookie": cookies}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Origin"] = f"http://127.0.0.1:{self._port}"
        headers |= others
        # The server closes connections that are idle, as people are between two clicks.
        if time.monotonic() - self._sent > IDLE_SECONDS / 2:
            self._connection.close()
        self._sent = time.monotonic()
        try:
            self._connection.request(method, address, body, headers)
        except http.client.CannotSendRequest:
            self._connection.close()  # an answer was not read to its end
            self._connection.request(method, address, body, headers)


class Server:
    """A console in a process of its own, with the worker that it starts for pictures."""

    def __init__(self, store: Path, work: Path) -> None:
        self.port = free_port()
        command = [
            sys.executable, "-m", "netwatch", "serve", "-c", str(CONFIG),
            "--store-path", str(store), "--listen", f"127.0.0.1:{self.port}",
        ]  # fmt: skip
        self.log = work / "console.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        wait_until(lambda: is_listening(self.port), timeout=TIMEOUT, what="the console listens")

    def cpu(self) -> dict[int, float]:
        """The CPU time of each process of the console until now, in s: itself and its worker of
        pictures. Reports that are collected in the background do not belong to a page."""
        found = {}
        for pid in _family(self._process.pid):
            with suppress(OSError):  # The process has ended.
                # The clock of a process, as clock_getcpuclockid(3) numbers it, has threads that
                # ended too.
                found[pid] = time.clock_gettime(~pid << 3 | 2)
        return found

    def cpu_since(self, before: Mapping[int, float]) -> float:
        """The CPU time since `cpu` had what is given, in s."""
        return sum(now - before.get(pid, 0.0) for pid, now in self.cpu().items())

    def resident(self) -> float:
        """The memory of the console itself, in MB."""
        return _status(self._process.pid, "VmRSS")

    def peak(self) -> float:
        """The greatest memory of the console itself until now, in MB."""
        return _status(self._process.pid, "VmHWM")

    def forget_peak(self) -> None:
        """Let the greatest memory begin anew at what it is now."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(TIMEOUT)


def _texts(folder: str, name: str) -> Iterator[str]:
    with suppress(OSError):  # The process has ended.
        for task in Path(folder).iterdir():
            with suppress(OSError):  # The thread has ended.
                yield (task / name).read_text()


def _family(pid: int) -> list[int]:
    """A process and those that its threads started."""
    found = [pid]
    for text in _texts(f"/proc/{pid}/task", "children"):
        for child in map(int, text.split()):
            with suppress(OSError):  # The child has ended.
                if b"period_reports" not in Path(f"/proc/{child}/cmdline").read_bytes():
                    found += _family(child)
    return found


def _status(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1000
    raise SystemExit("the console has ended")
