"""The folder of a store is for its owner, and what is no store of ours is refused in one line."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.asked_stores import run
from support.paths import PCAPS

from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def opened(folder: Path) -> None:
    open_catalogue(StoreOptions(str(folder)), create=True).close()


@pytest.mark.parametrize("has_store", [False, True])
def test_a_folder_that_is_open_to_others_is_closed(tmp_path: Path, has_store: bool) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    if has_store:
        opened(folder)
        (folder / "observation").mkdir()
    folder.chmod(0o755)
    opened(folder)
    assert mode_of(folder) == 0o700


def test_a_folder_with_something_else_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "letters").mkdir()
    opened(tmp_path)
    assert mode_of(tmp_path) == 0o755
    assert mode_of(tmp_path / "catalogue.sqlite") == 0o600


@pytest.mark.parametrize("target", ["nothing", "other.sqlite"])
def test_a_catalogue_that_is_a_link_is_refused(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    (tmp_path / "other.sqlite").touch()
    link = folder / "catalogue.sqlite"
    link.symlink_to(tmp_path / target)
    done = run("scan", "-q", str(PCAPS / "five-kinds.pcap"), "--store", "--store-path", str(folder))
    assert done.status == 2
    said = f"netwatch: {link}: is a symbolic link, which netwatch does not follow here\n"
    assert done.errors == said
    assert not (tmp_path / "nothing").exists()


def test_the_status_counts_what_lists_show(tmp_path: Path) -> None:
    folder = str(tmp_path / "store")
    capture = str(PCAPS / "five-kinds.pcap")
    for evidence in ((), ("--evidence", str(tmp_path / "proof"))):
        assert run("scan", "-q", capture, "--store", "--store-path", folder, *evidence).status == 0
        (status,) = run("store", "status", "--store-path", folder, "--format", "jsonl").records
        shown = run("store", "query", "incidents", "--store-path", folder, "--format", "jsonl")
        assert status["incidents"] == len(shown.records) > 0
        files = [*(tmp_path / "proof").glob("*.pcapng")] if evidence else []
        assert status["evidence"] == len(files) == (status["incidents"] if evidence else 0)


def test_a_writer_loads_no_query_engine() -> None:
    # It costs time and memory, and a writer asks the catalogue only.
    program = "import sys, netwatch.engine.facts_process; print('duckdb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
