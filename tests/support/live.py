"""Runs ``netwatch live`` as a process and feeds it packets through a pipe."""

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.captures import Frames, pcap
from support.shown_logs import show_log
from support.waiting import TIMEOUT, wait_until


def children(pid: int) -> list[int]:
    """The process ids of the children of a process, the oldest first."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()]


class Capture:
    """``netwatch live`` with its records in the file `out` and its log in the file `err`."""

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
        show_log(self.err)
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
        """The records written so far."""
        if not self.out.exists():
            return []
        complete = self.out.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in complete.splitlines()]

    def states(self) -> list[str]:
        """Status and confidence of each record."""
        return [f"{record['status']} {record['confidence']}" for record in self.records()]

    def closed(self) -> list[dict[str, Any]]:
        """The records of closed incidents."""
        return [record for record in self.records() if record["status"] == "closed"]

    def log(self) -> str:
        """The log written so far."""
        return self.err.read_text(errors="replace")

    def wait_for_log(self, text: str) -> None:
        """Wait until the log contains a text."""

        def is_logged() -> bool:
            assert self.process.poll() is None or text in self.log(), self.log()
            return text in self.log()

        wait_until(is_logged, lambda: f"{text!r} is in the log, which is:\n{self.log()}")

    def wait_for_records(self, count: int) -> None:
        """Wait until there are at least so many records."""
        wait_until(
            lambda: len(self.records()) >= count,
            lambda: f"there are {count} records; the log is:\n{self.log()}",
        )

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return children(self.process.pid)

    def wait(self) -> int:
        """Wait for the end of the process; its exit status."""
        return self.process.wait(TIMEOUT)

    def stop(self) -> int:
        """Stop it with SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """Kill it, and wait until its workers have ended too."""
        if self.process.poll() is not None:
            return
        workers = self.workers()
        self.process.kill()
        self.process.wait(TIMEOUT)
        for worker in workers:
            wait_until(lambda worker=worker: not Path(f"/proc/{worker}/exe").exists())


class Pipe:
    """A named pipe through which packets are sent as a capture."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self._end = -1

    def open(self) -> None:
        """Wait for the reader, and send the header of the capture."""

        def has_reader() -> bool:
            with contextlib.suppress(OSError):
                self._end = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            return self._end >= 0

        wait_until(has_reader)
        os.set_blocking(self._end, True)
        os.write(self._end, pcap([], nanos=True))

    def send(self, frames: Frames) -> None:
        """Send packets."""
        for when, frame in frames:
            seconds, nanoseconds = divmod(when, 10**9)
            header = struct.pack("<4I", seconds, nanoseconds, len(frame), len(frame))
            os.write(self._end, header + frame)

    def close(self) -> None:
        """End the capture; does nothing where the pipe is not open."""
        if self._end >= 0:
            os.close(self._end)
            self._end = -1
