"""A scan that is killed while incidents are on disk leaves none, or the next run removes them."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netwatch.cli import main
from netwatch.core.private_files import LOCK

TIMEOUT = 120

CLIENTS = 3000

# The usual limit would take a minute of computing to reach on a busy machine.
PROGRAM = """
import sys
from netwatch.incidents import aggregate
aggregate.INCIDENT_LIMIT = 50
from netwatch.cli import main
sys.exit(main())
"""


def log(path: Path, network: int, clients: int) -> str:
    """A log of dnsmasq in which each client asks for TikTok."""
    path.write_text(
        "".join(
            f"Mar 20 10:{n // 60 % 60:02}:{n % 60:02} dns dnsmasq[5]: query[A] www.tiktok.com from"
            f" 10.{network}.{n >> 8}.{n & 255}\n"
            for n in range(clients)
        )
    )
    return str(path)


def naming(folder: Path) -> list[Path]:
    """The files in which clients are named."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".log"]
    return [path for path in files if b"10.21." in path.read_bytes()]


def await_spill(folder: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + TIMEOUT
    while not naming(folder):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(("has_store", "jobs"), [(True, "1"), (False, "2")])
def test_a_scan_that_is_ended_leaves_no_client(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    has_store: bool,
    jobs: str,
    number: signal.Signals,
) -> None:
    store, system, out = tmp_path / "store", tmp_path / "system", tmp_path / "out"
    for folder in (store, system, out):
        folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(system))
    monkeypatch.setattr("tempfile.tempdir", str(system))
    config = tmp_path / "netwatch.yaml"
    section = f"store: {{path: {store}}}\n" if has_store else ""
    config.write_text(f"version: 1\n{section}")
    options = ["scan", "-q", "-c", str(config), "--year", "2023", "--timezone", "UTC"]
    logs = [log(tmp_path / f"{name}.log", name, CLIENTS) for name in (21, 22)]
    command = [sys.executable, "-c", PROGRAM, *options, "--jobs", jobs, *logs]
    command += ["-o", str(out / "alerts")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        await_spill(store if has_store else system, process)
        process.send_signal(number)
        # Until its workers have ended, too.
        process.communicate(timeout=TIMEOUT)
    assert process.returncode == -number
    left = naming(tmp_path)
    if number == signal.SIGTERM:
        assert left == []
        assert [*store.iterdir(), *system.iterdir()] == []
    else:
        assert {path.parent.parent for path in left} == {store if has_store else system}
        assert all((path.parent / LOCK).exists() for path in left)
    assert list(out.iterdir()) == []
    small = log(tmp_path / "small.log", 23, 1)
    assert main([*options, small, "-o", str(tmp_path / "alerts")]) == 0
    assert [*store.iterdir(), *system.iterdir(), *naming(tmp_path)] == []
