"""Without compiled modules the commands write the same records, to the byte."""

import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from support import interpreted
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


def test_modules_older_than_their_source_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, built = tmp_path / "one.py", tmp_path / f"one{EXTENSION_SUFFIXES[0]}"
    monkeypatch.setattr(interpreted, "SOURCES", {"netwatch.one": source})
    source.touch()
    assert interpreted.stale() == []
    built.touch()
    assert interpreted.stale() == []
    os.utime(source, (built.stat().st_mtime + 1,) * 2)
    assert interpreted.stale() == ["netwatch.one"]
