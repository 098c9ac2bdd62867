"""Without compiled modules the commands write the same records, to the byte."""

import subprocess
import sys

import pytest
from support.paths import ROOT

COMPILED = [sys.executable, "-m", "netwatch"]
INTERPRETED = [sys.executable, str(ROOT / "tests" / "support" / "interpreted.py")]


@pytest.mark.parametrize("command", ["names", "scan"])
def test_the_sample_captures(command: str) -> None:
    options = ["-c", "pcaps/netwatch.yaml", "--format", "jsonl", "pcaps/"]
    options = options if command == "scan" else options[2:]
    runs = []
    for call in (COMPILED, INTERPRETED):
        done = subprocess.run([*call, command, *options], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        runs.append(done)
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stdout.count("\n") > 5
    assert "interpreted" in runs[1].stderr
