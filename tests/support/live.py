"""A live capture as a process of its own, and packets for it through a pipe."""

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from support.captures import Frames, pcap

WAIT = 30.0
"""Seconds after which what is waited for is taken not to come."""


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


class Capture:
    """``netwatch live`` with its records in a file and its lines in another."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        name: str = "one",
        program: Sequence[str] = ("-m", "netwatch"),
        under: Sequence[str] = (),
    ) -> None:
        self.out, self.err = folder / f"{name}.jsonl", folder / f"{name}.err"
        command = [*under, sys.executable, *program, "live", "--format", "jsonl"]
        command += ["-o", str(self.out), *arguments]
        with self.err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.DEVNULL,
                stderr=err,
                env={**os.environ, **(environ or {})},
            )

    def records(self) -> list[dict[str, Any]]:
        """What was told so far."""
        if not self.out.exists():
            return []
        whole = self.out.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def told(self) -> list[str]:
        """The same, as status and confidence."""
        return [f"{each['status']} {each['confidence']}" for each in self.records()]

    def text(self) -> str:
        """What it said."""
        return self.err.read_text(errors="replace")

    def says(self, text: str) -> None:
        """Wait until it said this."""

        def said() -> bool:
            assert self.process.poll() is None or text in self.text(), self.text()
            return text in self.text()

        until(said)

    def tells(self, count: int) -> None:
        """Wait until it told so many records."""
        until(lambda: len(self.records()) >= count)

    def workers(self) -> list[int]:
        """The processes that capture."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(word) for word in children.read_text().split()]

    def ends(self) -> int:
        """Wait for its end; the exit status."""
        return self.process.wait(WAIT)

    def stop(self) -> int:
        """End it by SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.ends()

    def kill(self) -> None:
        """End it at once, and see that nothing of it is left."""
        if self.process.poll() is not None:
            return
        workers = self.workers()
        self.process.kill()
        self.process.wait(WAIT)
        for worker in workers:
            until(lambda worker=worker: not Path(f"/proc/{worker}/exe").exists())


class Pipe:
    """A pipe that packets go through, as a capture."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._end = -1

    def open(self) -> None:
        """Wait for the reader, and begin."""

        def read() -> bool:
            with contextlib.suppress(OSError):
                self._end = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            return self._end >= 0

        until(read)
        os.set_blocking(self._end, True)
        os.write(self._end, pcap([], nanos=True))

    def send(self, frames: Frames) -> None:
        """Packets, now."""
        for when, frame in frames:
            seconds, rest = divmod(when, 10**9)
            head = struct.pack("<4I", seconds, rest, len(frame), len(frame))
            os.write(self._end, head + frame)

    def close(self) -> None:
        """No more will come; nothing where it is not open."""
        if self._end >= 0:
            os.close(self._end)
            self._end = -1
