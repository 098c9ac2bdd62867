"""Damaged captures give an answer: no traceback, no endless work, no growing memory.

`make test-long` makes other files in each run. A failure shows the command that repeats it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = int(os.environ.get("NETWATCH_FILES", "20000"))
"""Files that are read."""

PROCESSES = 4
"""Processes that read them, one after the other, so that each has a memory of its own."""

GROWTH = 16 << 10
"""KiB of resident memory by which a process may grow after a tenth of its files."""


@pytest.mark.long
@pytest.mark.parametrize("process", range(PROCESSES))
def test_damaged_files_are_read_without_failure(
    process: int, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    seed = str(pytestconfig.getoption("--hypothesis-seed") or 0)
    count = FILES // PROCESSES
    arguments = ["-m", "support.damaged_files", seed, str(process * count)]
    done = subprocess.run(
        [sys.executable, *arguments, str(count), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"seed {seed}: exit status {done.returncode}"
    result = json.loads(done.stdout)
    assert result["files"] == count
    for number, text in result["failures"].items():
        print(f"python -m support.damaged_files {seed} {number} 1 FOLDER\n{text}")
    assert not result["failures"]
    early, end = result["memory"]
    assert end - early < GROWTH, f"seed {seed}: {early} KiB after a tenth, {end} KiB at the end"
