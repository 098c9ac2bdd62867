"""``netwatch demo``: the samples in a folder of the user's, and the commands that it proposes."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

from netwatch.cli import main


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "netwatch", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_what_it_writes_scans_and_proposes_works_from_another_folder(tmp_path: Path) -> None:
    done = run("demo", folder=tmp_path)
    assert done.returncode == 0
    samples = {each.name for each in (ROOT / "pcaps").glob("*.pcap")}
    written = {each.name for each in (tmp_path / "netwatch-demo").iterdir()}
    assert written == samples | {"devices.csv", "netwatch.yaml"}
    assert "phone-021" in done.stdout
    assert "violation 21, advisory 2, exempt 1" in done.stderr
    proposed = [
        shlex.split(line)[1:] for line in done.stdout.splitlines() if line.startswith("  netwatch ")
    ]
    tried = [each for each in proposed if each[0] in {"names", "scan", "report"}]
    assert [each[0] for each in tried] == ["names", "scan", "report"]
    for command in tried:
        assert run(*command, folder=tmp_path).returncode == 0
    assert (tmp_path / "netwatch-demo" / "report.html").exists()


def test_a_folder_with_files_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["demo", str(tmp_path)]) == 2
    assert "expected a new or empty folder" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["demo", str(tmp_path / "notes.txt")]) == 2
