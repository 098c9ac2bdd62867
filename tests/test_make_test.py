"""What `make test` runs, whatever fails."""

import shutil
import subprocess
from pathlib import Path

import pytest
from support.paths import ROOT

TESTS = """#!/bin/sh
case "$*" in *"not alone"*) part=together;; *) part=alone;; esac
echo "$part" >>ran
[ "$part" != "$FAILING" ]
"""


@pytest.mark.parametrize("failing", ["", "together", "alone"])
def test_tests_that_run_alone_run_although_others_failed(tmp_path: Path, failing: str) -> None:
    for name in ("netwatch", "packaging", "pyproject.toml", "setup.py", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "Makefile", tmp_path)
    installed = tmp_path / ".venv"
    installed.mkdir()
    for name in ("python", "test"):
        (installed / name).touch()
    program = tmp_path / "program"
    program.write_text(TESTS)
    program.chmod(0o755)
    # Those that failed beside others fail again.
    words = ["make", "test", f"PYTEST={program}", "PROGRAM=false"]
    done = subprocess.run(
        words, cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "FAILING": failing}, capture_output=True
    )
    assert (tmp_path / "ran").read_text().split() == ["together", "alone"]
    assert (done.returncode == 0) == (not failing)
