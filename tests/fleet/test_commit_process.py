"""Processes in which a centre commits, and their end."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.paths import ROOT
from support.waiting import TIMEOUT

from netwatch.fleet import commit_process
from netwatch.fleet.commit_process import CommitProcess, close_processes

Items = list[int]


def pid(items: Items) -> int:
    return os.getpid()


def hang(items: Items, name: str) -> None:
    """Work that has no end; the file says that it has begun."""
    Path(name).touch()
    threading.Event().wait()


def test_work_without_an_end_does_not_keep_a_centre(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed, and what was to come after it is not begun."""
    monkeypatch.setattr(commit_process, "CLOSE_SECONDS", 0.0)
    process, begun = CommitProcess("facts", list[int]), tmp_path / "begun"

    async def work() -> int:
        number = await process.run(pid)
        waiting = [asyncio.create_task(process.run(hang, str(begun))) for _ in range(3)]
        limit = time.monotonic() + TIMEOUT
        while not begun.exists():
            assert time.monotonic() < limit
            await asyncio.sleep(0.01)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return number

    number = asyncio.run(work())
    close_processes([process, CommitProcess("alerts", list[int])])
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_it_ends_silently_with_a_centre_that_was_killed() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "support" / "orphaned_commits.py")],
        capture_output=True,
        timeout=TIMEOUT,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout, done.stderr.decode()) == (-signal.SIGKILL, b"", "")
