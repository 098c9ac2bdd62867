"""A failed test shows what its programs have logged."""

import subprocess
import sys
from pathlib import Path

TESTS = """
from pathlib import Path
from support.programs import Process
from support.shown_logs import show_log

def test_that_passes(tmp_path):
    (tmp_path / "log").write_text("all is well")
    show_log(tmp_path / "log")

def test_that_fails(tmp_path):
    echo = ["sh", "-c", "echo no such stream; exec sleep 60"]
    server = Process(echo, lambda: "stream" in (tmp_path / "receiver.log").read_text(), tmp_path)
    try:
        raise AssertionError("waited in vain")
    finally:
        server.end()
"""


def test_the_log_of_a_failed_test_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "support.shown_logs", "-c", "/dev/null"]
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "waited in vain" in done.stdout
    assert "log receiver.log" in done.stdout
    assert "no such stream\n" in done.stdout
    assert "all is well" not in done.stdout
