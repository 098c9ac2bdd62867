"""Processes in which a centre commits, and their end.

Alerts are stored in steps, none of which may be skipped.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.fleet_alerts import GAP
from support.fleet_centre import sensor_records
from support.paths import ROOT
from support.waiting import TIMEOUT

from netwatch import __version__
from netwatch.core.errors import NetwatchError
from netwatch.fleet import commit_process
from netwatch.fleet.commit_process import AlertCommits, CommitProcess, close_processes
from netwatch.fleet.envelope import Envelope
from netwatch.store.options import StoreOptions

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


@pytest.fixture
def commits(tmp_path, monkeypatch):
    monkeypatch.setattr(commit_process, "TRANSACTION", 4)
    made = AlertCommits(StoreOptions(str(tmp_path / "store")), GAP)
    yield made
    made.close()


def message(count):
    records = sensor_records("ghent-1", range(count))
    body = {"alerts": [{"key": each["id"], "record": each} for each in records]}
    return Envelope(sensor="ghent-1", kind="alerts", sequence=1, sent=1, version=__version__,
                    id="a", body=body)  # fmt: skip


def test_many_alerts_are_stored_in_several_transactions(commits):
    commits.prepare([message(10)], {})
    assert [commits.store(), commits.store()] == [None, None]
    result = commits.store()
    assert [len(keys) for keys in result.stored.values()] == [10]
    assert result.new == 10


def test_nothing_counts_as_stored_that_was_not_prepared(commits):
    """A process may be killed between the steps, and the next one has nothing."""
    with pytest.raises(NetwatchError, match="nothing is prepared"):
        commits.store()
    commits.prepare([message(1)], {})
    assert commits.store().new == 1
    with pytest.raises(NetwatchError, match="nothing is prepared"):
        commits.store()


def test_no_alerts_are_an_empty_result(commits):
    commits.prepare([message(0)], {})
    result = commits.store()
    assert (result.stored, result.new, result.spoiled) == ({}, 0, {})
