"""Runs and erasures keep each other out, in every kind of store."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.erasable import IP_, write_files
from support.temporary import leave_temporary
from support.waiting import wait_until

from netwatch.cli import main
from netwatch.core.errors import NetwatchError
from netwatch.core.private_files import PrivateFolder, below
from netwatch.store.opening import UseLock, open_catalogue
from netwatch.store.options import StoreOptions


def test_runs_share_it_and_an_erasure_does_not(options: StoreOptions) -> None:
    open_catalogue(options, create=True).close()
    first, second = UseLock(options), UseLock(options)
    with pytest.raises(NetwatchError, match=r"stop live .* erase again"):
        UseLock(options, exclusive=True)
    first.close()
    with pytest.raises(NetwatchError, match="a run is writing"):
        UseLock(options, exclusive=True)
    second.close()
    with UseLock(options, exclusive=True):
        with pytest.raises(NetwatchError, match="a person is being erased"):
            UseLock(options)
        with pytest.raises(NetwatchError, match="a run is writing"):
            UseLock(options, exclusive=True)
    UseLock(options, exclusive=True).close()


def test_a_process_that_is_killed_has_it_no_more(tmp_path: Path) -> None:
    options = StoreOptions(str(tmp_path))
    program = f"""
import time
from netwatch.store.options import StoreOptions
from netwatch.store.opening import UseLock
lock = UseLock(StoreOptions({str(tmp_path)!r}))
print("locked", flush=True)
time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"locked\n"
    with pytest.raises(NetwatchError):
        UseLock(options, exclusive=True)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    UseLock(options, exclusive=True).close()


def test_nothing_is_stored_while_somebody_is_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["scan", "-q", "--store", "day.pcap"]) == 0
    options = StoreOptions("store")
    with open_catalogue(options) as catalogue:
        files = catalogue.files("observation")
    capsys.readouterr()
    with UseLock(options, exclusive=True):
        assert main(["scan", "-q", "--store", "day.pcap"]) == 1
    assert "start again when that has ended" in capsys.readouterr().err
    with UseLock(options):
        assert main(["store", "erase", "--yes", "--device", IP_, "--state", "none"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "stop live (or wait for scan and names to end), erase again" in captured.err
    with open_catalogue(options) as catalogue:
        assert catalogue.files("observation") == files
    left = leave_temporary(tmp_path / "store")
    with below("store"), PrivateFolder() as used:
        assert not left.exists()
        left = leave_temporary(tmp_path / "store")
        assert main(["store", "erase", "--yes", "--device", IP_, "--state", "none"]) == 1
        assert f"{used}: temporary files of a run in progress" in capsys.readouterr().err
        assert used.exists()
    assert not left.exists()
    left = leave_temporary(tmp_path / "store")
    erase = ["store", "erase", "--yes", "--device", IP_, "--state", "none", "--format", "jsonl"]
    assert main(erase) == 1
    captured = capsys.readouterr()
    assert "nothing was erased" in captured.err
    assert json.loads(captured.out)["temporary"] == 1
    assert not left.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to write as another user than the owner")
def test_what_root_writes_is_of_the_owner_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a service could not read it."""
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "store").mkdir(mode=0o700)
    os.chown(tmp_path / "store", 1, 2)
    assert main(["scan", "-q", "--store", "day.pcap"]) == 0
    assert main(["store", "erase", "--yes", "--device", IP_, "--state", "none"]) == 0
    assert main(["store", "compact"]) == 0
    found = [*(tmp_path / "store").rglob("*")]
    assert {path.suffix for path in found if path.is_file()} == {".parquet", ".sqlite", ".lock"}
    wait_until(lambda: not [*(tmp_path / "store").glob("*-wal")])
    for path in found:
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (1, 2), path
