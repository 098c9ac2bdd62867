"""`make console`: the store, the report and the accounts, once, and a console over them."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from support.paths import ROOT
from support.waiting import TIMEOUT

from netwatch.config.console_section import ROLES

COMMAND = [sys.executable, "-m", "sample_console", "--listen", "127.0.0.1:0", "--folder"]


def started(folder: Path) -> tuple["subprocess.Popen[str]", list[str], str]:
    """The process, the lines that it printed, and the address of the console."""
    process = subprocess.Popen(
        [*COMMAND, str(folder)], cwd=ROOT, env={"PYTHONPATH": "tools"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if found := re.search(r"http://\S+", line):
            return process, lines, found[0]
    pytest.fail("".join(lines))


def ended(process: "subprocess.Popen[str]") -> int:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=TIMEOUT)
    return process.returncode


def test_it_opens_the_console_once_filled(tmp_path: Path) -> None:
    folder = tmp_path / "with a space" / "console"
    process, lines, address = started(folder)
    try:
        passwords = dict(re.findall(r"^(\w+) +(\S{16})  ", "".join(lines), re.MULTILINE))
        assert set(passwords) == set(ROLES)
        with httpx.Client(base_url=address, trust_env=False) as client:
            token = re.search(r'name="csrf" value="(\w+)"', client.get("/sign-in").text)
            assert token is not None
            fields = {"name": "analyst", "password": passwords["analyst"], "csrf": token[1]}
            assert client.post("/sign-in", data=fields, headers={"Origin": address}).is_redirect
            assert "ws-021" in client.get("/incidents?device=ws-021").text
    finally:
        assert ended(process) == 0
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "report.html").read_bytes().startswith(b"<!DOCTYPE html>")
    assert list((folder / "evidence").iterdir())

    before = (folder / "store" / "catalogue.sqlite").stat().st_ino
    process, lines, _ = started(folder)
    assert ended(process) == 0
    assert "PASSWORD" not in "".join(lines)
    assert (folder / "store" / "catalogue.sqlite").stat().st_ino == before
