"""The long form of the tests of a cluster: 150 captures, three workers killed amid the run, the
whole run killed at 40 % and started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.archives import make_archive
from support.office import configured

UNITS = 150
TIMEOUT = 900
"""Seconds until something must have happened."""

pytestmark = pytest.mark.long


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


def test_three_workers_and_the_run_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = tmp_path / "starts"
    starts.touch()
    monkeypatch.setenv("NETWATCH_TEST_STARTS", str(starts))
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PRELOAD", "support.cluster_workers")
    monkeypatch.setenv("NETWATCH_TEST_PAUSE", "0.05")
    folder = make_archive(tmp_path / "captures", UNITS)
    ledger = tmp_path / "done"
    words = ["scan", "-q", "-c", configured(tmp_path), str(folder), "--format", "jsonl"]
    scan = [sys.executable, "-m", "netwatch", *words, "--coverage"]
    expected = subprocess.run([*scan, "--jobs", "2"], capture_output=True, check=True).stdout
    on_cluster = [*scan, "--cluster", "local", "--jobs", "2", "--ledger", str(ledger)]

    def begun() -> list[str]:
        return starts.read_text().splitlines()

    def kill_worker(after: int) -> None:
        wait_for(lambda: len(begun()) >= after)
        os.kill(int(begun()[-1].split()[0]), signal.SIGKILL)

    with subprocess.Popen(on_cluster, stdout=subprocess.PIPE) as process:
        kill_worker(10)
        kill_worker(30)
        wait_for(lambda: len(list(ledger.glob("results/*/[!.]*"))) >= UNITS * 4 // 10)
        process.kill()
    time.sleep(2)  # Workers end when they notice that their scheduler has gone.
    with subprocess.Popen(on_cluster, stdout=subprocess.PIPE) as process:
        kill_worker(len(begun()) + 10)
        out, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert out == expected
    deaths = 5  # three workers, and the two of the run that was killed
    assert len(begun()) <= UNITS + 2 * deaths
