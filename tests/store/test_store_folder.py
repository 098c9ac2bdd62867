"""The folder of a store is for its owner, and what is no store of ours is refused in one line."""

import os
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


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads by /proc")
@pytest.mark.parametrize("chosen", ["", "mimalloc"])
def test_rows_are_in_memory_of_the_system_unless_chosen(tmp_path: Path, chosen: str) -> None:
    program = (
        "import os, runpy\n"
        "def show():\n"
        "    import pyarrow\n"
        "    threads = len(os.listdir('/proc/self/task'))\n"
        "    print(pyarrow.default_memory_pool().backend_name, threads)\n"
        "os.register_at_fork(before=show)\n"
        "runpy.run_module('netwatch', run_name='__main__')\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ARROW_")}
    if chosen:
        environment["ARROW_DEFAULT_MEMORY_POOL"] = chosen
    capture, store = str(PCAPS / "http-host.pcap"), str(tmp_path / "store")
    done = subprocess.run(
        [sys.executable, "-c", program, "scan", "-q", "-o", os.devnull, "-c",
         str(PCAPS / "netwatch.yaml"), "--store-path", store, capture],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    # No thread may run when the writer is forked.
    assert done.stdout.splitlines() == [f"{chosen or 'system'} 1"], done.stderr
