"""`store sql` runs in a process with limits that bind, whatever DuckDB notices."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from netwatch.cli import main
from netwatch.store import sandbox
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store without rows."""
    folder = str(tmp_path_factory.mktemp("made") / "store")
    open_catalogue(StoreOptions(folder), create=True).close()
    return folder


def ask(path: str, query: str, *options: str) -> int:
    return main(["store", "sql", "--store-path", path, *options, query])


def test_memory_is_bounded_within_one_function_too(
    path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sandbox, "MEMORY_LIMIT", 128 << 20)
    assert ask(path, "SELECT length(repeat(repeat('x', 1000000), 30)) AS n", "--format", "csv") == 0
    assert capsys.readouterr().out == "n\n30000000\n"
    assert ask(path, "SELECT length(repeat(repeat('x', 10000000), 30))") == 1
    assert sandbox.TOO_MUCH in capsys.readouterr().err


def test_time_is_bounded_within_one_function_too(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """DuckDB looks for an interruption only between pieces of work."""
    query = "SELECT sum(length(repeat('ab', 2000 + x::INT % 7))) FROM range(100000000000) t(x)"
    started = time.process_time()
    assert ask(path, query, "--timeout", "0.2") == 1
    assert "took longer than 0.2 s and was ended" in capsys.readouterr().err
    assert time.process_time() - started < 60


@pytest.mark.parametrize(
    ("query", "column"),
    [("FROM test_all_types()", "date"), ("SELECT DATE '290309-12-22 (BC)' AS old", "old")],
)
def test_a_value_that_cannot_be_shown_is_an_error_that_names_its_column(
    path: str, capsys: pytest.CaptureFixture[str], query: str, column: str
) -> None:
    assert ask(path, query) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"netwatch: store sql: column {column}: a value cannot be shown (")
    assert errors.endswith("): cast it to VARCHAR\n")


def test_rows_that_are_too_large_to_send_are_an_error(
    path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sandbox, "MAX_MESSAGE", 2 << 20)
    assert ask(path, "SELECT repeat('x', 3000000) AS text") == 1
    assert sandbox.TOO_MUCH in capsys.readouterr().err


def test_a_process_that_dies_is_an_error(
    path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("netwatch.core.system.kernel.confine", lambda *_: sys.exit(9))
    assert ask(path, "SELECT 1") == 1
    assert sandbox.TOO_MUCH in capsys.readouterr().err


def test_a_confined_process_writes_no_file_and_stops_computing(tmp_path: Path) -> None:
    program = """
import sys
from netwatch.core.system import kernel
kernel.confine(64 << 20, 0.0)
try:
    with open(sys.argv[1], "wb") as file:
        file.write(b"text")
except OSError as error:
    print(error.strerror)
try:
    bytearray(128 << 20)
except MemoryError:
    print("no memory", flush=True)
while True:
    pass
"""
    command = [sys.executable, "-c", program, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout == "File too large\nno memory\n"
    assert done.returncode < 0
    assert (tmp_path / "file").read_bytes() == b""
