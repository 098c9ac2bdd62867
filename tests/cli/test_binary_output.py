"""``names`` in formats that are no text: where they may go, and what they need."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.office import DURING, TIKTOK, capture, one_hello

from netwatch.cli import main
from netwatch.core.installing import install_command
from netwatch.formats.registry import BINARY_FORMATS

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def office(tmp_path: Path) -> str:
    return capture(tmp_path / "office.pcap", one_hello(DURING))


@pytest.mark.parametrize("kind", BINARY_FORMATS)
def test_a_file_and_a_pipe_get_the_same_table(kind: str, office: str, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "names"
    assert main(["names", "-q", "--format", kind, "-o", str(path), office]) == 0
    command = [sys.executable, "-m", "netwatch", "names", "-q", "--format", kind, office]
    piped = subprocess.run(command, check=True, capture_output=True).stdout
    for data in (path.read_bytes(), piped):
        if kind == "arrow":
            table = pa.ipc.open_stream(data).read_all()
        else:
            table = parquet.read_table(io.BytesIO(data))
        assert table.column("name").to_pylist() == [TIKTOK]


@pytest.mark.parametrize("kind", BINARY_FORMATS)
def test_a_terminal_is_refused(kind: str, office: str) -> None:
    pytest.importorskip("pyarrow")
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "netwatch", "names", "-q", "--format", kind, office]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert "is not text for a terminal: write it to a file with -o" in done.stderr


@pytest.mark.parametrize("kind", BINARY_FORMATS)
def test_a_missing_extra_is_named(
    kind: str,
    office: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "names"
    assert main(["names", "-q", "--format", kind, "-o", str(path), office]) == 2
    assert f"needs an extra: {install_command('arrow')}" in capsys.readouterr().err
    assert not path.exists()


def test_a_failed_run_leaves_the_file_as_it_was(
    office: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("netwatch.engine.jobs.names", interrupted)
    path = tmp_path / "names"
    path.write_bytes(b"before")
    assert main(["names", "-q", "--format", "parquet", "-o", str(path), office]) == 130
    assert path.read_bytes() == b"before"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["names", "office.pcap"]


def test_a_disk_that_is_full_is_reported(office: str, capsys: Captured) -> None:
    pytest.importorskip("pyarrow")
    assert main(["names", "-q", "--format", "parquet", "-o", "/dev/full", office]) == 1
    assert "/dev/full: cannot be written: No space left on device" in capsys.readouterr().err
