"""The NATS server of a centre as a process, which is started again where it dies."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.core.system.processes import end_with_parent
from netwatch.fleet.centre_folder import CentreFolder

PROGRAM = "nats-server"

RESTART_DELAYS = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds until the server is started again, after one failure, two, and so on."""

STEADY = 60.0
"""Seconds after which a server that runs counts as one that has not failed."""

END_SECONDS = 10.0
"""Seconds that the server has to end by itself."""

_POLL = 0.1


def find_program() -> str:
    """The path of the server. Raises `NetwatchError` where it is not installed."""
    places = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/bin:/usr/local/sbin"
    found = shutil.which(PROGRAM, path=places)
    if found is None:
        raise NetwatchError(
            f"{PROGRAM} is not installed: the centre runs it (Debian: apt install {PROGRAM}), or"
            " joins one that runs elsewhere with 'join' under 'fleet.server'"
        )
    return found


class NatsServer:
    """A server with the configuration of a folder. `report` takes sentences for the log;
    `restarts` counts how often it was started again."""

    def __init__(self, folder: CentreFolder, report: Callable[[str], None]) -> None:
        self._program = find_program()
        self._folder = folder
        self._report = report
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The process; None where it does not run."""
        return self._process.pid if self._process is not None else None

    def reload(self) -> None:
        """Let the server read its configuration again."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGHUP)

    async def run(self) -> None:
        """Keep the server running until this is cancelled; then end it."""
        try:
            while True:
                started = time.monotonic()
                status = await self._run_once()
                if time.monotonic() - started >= STEADY:
                    self._failures = 0
                delay = RESTART_DELAYS[min(self._failures, len(RESTART_DELAYS) - 1)]
                self._failures += 1
                self.restarts += 1
                self._report(
                    f"{PROGRAM} ended (exit status {status}){self._last_line()}; it is started"
                    f" again in {delay:g} s"
                )
                await asyncio.sleep(delay)
        finally:
            self._end()

    async def _run_once(self) -> int:
        command = [self._program, "-c", str(self._folder.configuration)]
        with (self._folder.path / "nats.err").open("wb") as errors:
            self._process = process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                # A signal of a terminal is for the centre, which ends the server at last.
                start_new_session=True,
                # However the centre ends.
                preexec_fn=partial(end_with_parent, signal.SIGTERM),
            )
        while (status := process.poll()) is None:
            await asyncio.sleep(_POLL)
        self._process = None
        return status

    def _last_line(self) -> str:
        """What the server said last, for people."""
        for path in (self._folder.path / "nats.err", self._folder.log):
            with contextlib.suppress(OSError):
                lines = _tail(path).splitlines()
                fatal = [line for line in lines if "[FTL]" in line or "nats-server:" in line]
                if fatal:
                    return f": {fatal[-1].rpartition('] ')[2].strip()[:200]}"
        return ""

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tail(path: Path) -> str:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 4096))
        return stream.read().decode("utf-8", "replace")
