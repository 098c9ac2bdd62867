"""A short soak test: reloads under load, a crash, and the restart. The long form is
`bench/live_soak.py --minutes 30`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.namespaces import needs_namespaces
from support.paths import ROOT


@pytest.mark.alone
@needs_namespaces
def test_reloads_and_a_crash_lose_nothing_and_report_nothing_twice(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "bench" / "live_soak.py"), "--minutes", "0.25"]
    done = subprocess.run(
        [*command, "--pps", "2000", "--work", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["open at the crash"] > 0
    asked, answered = found["reloads"]
    assert asked == answered > 4
