"""Programs that tests start: whether they work here, and servers that end with the test.

A program may be there only in part: without its libraries, without a module, without what it needs
of the system. `require_programs` tries each one once, and skips the test with what it said. A
server that does not become ready is ended, and the failure shows its output.
"""

import functools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

import pytest
from support.shown_logs import show_log
from support.waiting import TIMEOUT, wait_until

_PROBES: dict[str, tuple[str, ...]] = {
    "azurite-blob": ("--version",),
    "buildah": ("--version",),
    "capinfos": ("--version",),
    "curl": ("--version",),
    "dig": ("-v",),
    "docker-compose": ("version",),
    "fish": ("--version",),
    "groff": ("--version",),
    "haproxy": ("-v",),
    "ip": ("-V",),
    "kustomize": ("version",),
    "mmdebstrap": ("--version",),
    "mount": ("--version",),
    "named": ("-v",),
    "nginx": ("-v",),
    "nats-server": ("--version",),
    "openssl": ("version",),
    "pdfinfo": ("-v",),
    "podman": ("--version",),
    "promtool": ("--version",),
    "rsyslogd": ("-v",),
    "setpriv": ("--version",),
    "slapd": ("-VV",),
    "systemd-analyze": ("--version",),
    "squid": ("-v",),
    "suricata": ("-V",),
    "tcpdump": ("--version",),
    "tcpreplay": ("--version",),
    "tenzir": ("version",),
    "tshark": ("--version",),
    "umount": ("--version",),
    "xmllint": ("--version",),
    "zsh": ("--version",),
}
"""The arguments with which a program only shows that it works, by its name."""

_BROWSER_PROBE = ("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "about:blank")
_PROBE_TIMEOUT = 60.0
_SHOWN = 2000


def search_path() -> str:
    """Where programs are searched, those of the system too."""
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def problem_of(command: str) -> str:
    """Why a program cannot be used, empty if it can. It may be given with its path."""
    return _problem_of(command, search_path(), os.environ.get("LD_LIBRARY_PATH", ""))


@functools.cache
def _problem_of(command: str, path: str, libraries: str) -> str:
    name = Path(command).name
    found = shutil.which(command, path=path)
    if found is None:
        return f"{name} is not installed"
    if name == "chromium":
        with tempfile.TemporaryDirectory() as folder:
            probe = [found, *_BROWSER_PROBE, f"--user-data-dir={folder}"]
            return _failure(name, probe, {"HOME": folder})
    return _failure(name, [found, *_PROBES[name]]) if name in _PROBES else ""


def _failure(name: str, command: list[str], environment: Mapping[str, str] | None = None) -> str:
    """Why a command fails, empty if it does not."""
    with tempfile.TemporaryFile() as output:
        try:
            reason = _run(command, output, {**os.environ, **(environment or {})})
        except OSError as error:
            reason = str(error)
        if not reason:
            return ""
        output.seek(0)
        said = output.read().decode("utf-8", "replace").split("\n")
    last = next((line.strip() for line in reversed(said) if line.strip()), "no output")
    return f"{name} does not work here: {reason}, {last[:200]}"


def _run(command: list[str], output: IO[bytes], environment: Mapping[str, str]) -> str:
    """Run a command with all processes that it starts to its end. Returns why it fails, empty if
    it does not."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
    with subprocess.Popen(command, env=environment, process_group=0, **streams) as process:
        try:
            process.wait(_PROBE_TIMEOUT)
        except subprocess.TimeoutExpired:
            return f"no end within {_PROBE_TIMEOUT:g} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return f"exit status {process.returncode}" if process.returncode else ""


def require_programs(*commands: str) -> None:
    """Skip the test if a program is not installed or does not work here."""
    for command in commands:
        if problem := problem_of(command):
            pytest.skip(problem)


def needs(*commands: str) -> pytest.MarkDecorator:
    """Marks tests that `require_programs`; the programs are tried when the first test runs."""
    return pytest.mark.needs(*commands)


class Process:
    """A server as a process, which can be ended and started again. It is ready when `ready` gives
    something true. Its output is in the file ``receiver.log`` of `folder`."""

    def __init__(
        self,
        command: list[str],
        ready: Callable[[], Any],
        folder: Path,
        *,
        timeout: float = TIMEOUT,
    ) -> None:
        self._command = command
        self._ready = ready
        self._log = folder / "receiver.log"
        show_log(self._log)
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it. A server that does not become ready is ended, and the error has its output."""
        with self._log.open("ab") as log:
            self._process = process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": search_path()},
            )
        try:
            wait_until(
                lambda: process.poll() is not None or self._ready(),
                "the server is ready",
                timeout=self._timeout,
            )
            if process.poll() is not None:
                raise AssertionError(f"the server has ended with status {process.returncode}")
        except BaseException as error:
            self._process = None
            end(process)
            raise AssertionError(
                f"{self._command[0]}: {error}; its output: {self.output()}"
            ) from error

    def output(self) -> str:
        """The end of what it has written."""
        return self._log.read_bytes().decode("utf-8", "replace")[-_SHOWN:].strip() or "none"

    def tell(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, by force if it does not react to the signal."""
        process, self._process = self._process, None
        if process is not None:
            end(process, how)


def end(process: "subprocess.Popen[Any]", how: signal.Signals = signal.SIGKILL) -> None:
    """End a process and wait for its end; kill it if it does not react to the signal."""
    try:
        process.send_signal(how)
        process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(TIMEOUT)
        raise AssertionError(f"{process.args} did not react to {how.name}") from None
    finally:
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


class Server(Protocol):
    """What `running` starts."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


S = TypeVar("S", bound=Server)


@contextmanager
def running(server: S) -> Iterator[S]:
    """Start a server, and end it whatever happens, also if it did not start."""
    try:
        server.start()
        yield server
    finally:
        getattr(server, "end", server.stop)()
