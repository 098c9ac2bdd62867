"""A store that is backed up and brought back is the same, also beside a writer."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import PCAPS
from support.postgres_server import new_database
from support.waiting import TIMEOUT

from netwatch.cli import main
from netwatch.core.installing import install_command
from netwatch.store import backup
from netwatch.store.options import StoreOptions

CONFIGURATION = """version: 1
store: {path: store}
retention: {incidents: 2y}
privacy: {pseudonyms: [personal], key: {file: pseudonyms.key}}
"""

CAPTURES = [str(PCAPS / name) for name in ("office-day.pcap", "dns-over-tcp.pcap")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with its key, a store and an evidence capture."""
    folder = tmp_path_factory.mktemp("made") / "site"
    folder.mkdir()
    (folder / "netwatch.yaml").write_text(CONFIGURATION)
    assert main(["store", "key", "new", str(folder / "pseudonyms.key")]) == 0
    words = ["scan", *CAPTURES, "-c", str(folder / "netwatch.yaml"), "-q", "--store"]
    assert main([*words, "--evidence", str(folder / "evidence")]) == 0
    return folder


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "site")
    return tmp_path / "site"


def run(site: Path, *words: str) -> int:
    return main([*words, "-c", str(site / "netwatch.yaml")])


def query(site: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert run(site, "store", "query", "incidents", "--format", "jsonl") == 0
    assert run(site, "store", "query", "observations", "--format", "jsonl") == 0
    return capsys.readouterr().out


def test_what_is_restored_is_the_same(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = query(site, capsys)
    assert before.count("\n") > 10
    kept = tmp_path / "kept"
    assert run(site, "backup", str(kept)) == 0
    assert kept.stat().st_mode & 0o777 == 0o700
    site.rename(tmp_path / "gone")
    assert run(site, "restore", str(kept)) == 0
    assert query(site, capsys) == before
    assert run(site, "store", "verify") == 0
    for name in ("netwatch.yaml", "pseudonyms.key"):
        assert (site / name).read_bytes() == (tmp_path / "gone" / name).read_bytes()
    assert (site / "pseudonyms.key").stat().st_mode & 0o777 == 0o600


def test_files_that_are_replaced_while_they_are_copied(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = StoreOptions(str(site / "store"))
    copy = backup._copy_catalogue
    calls = []

    def copy_then_store(*arguments: object) -> object:
        listed = copy(*arguments)  # type: ignore[arg-type]
        if not calls:
            # It takes the place of the run before, and rewrites the files.
            assert run(site, "scan", *CAPTURES, "-q", "--store") == 0
        calls.append(len(listed))
        return listed

    monkeypatch.setattr(backup, "_copy_catalogue", copy_then_store)
    (tmp_path / "copy").mkdir()
    assert backup.copy_store(options, tmp_path / "copy") == []
    # The first state of the catalogue listed files that were gone, and nothing of it is left.
    assert len(calls) == 2
    files = list((tmp_path / "copy").rglob("*.parquet"))
    assert len(files) == calls[1]


def test_a_damaged_file_is_named_and_kept(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = next((site / "store").rglob("*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    assert run(site, "backup", str(tmp_path / "kept")) == 1
    assert f"{damaged.name}: its content is not what was written" in capsys.readouterr().err


def test_nothing_is_overwritten(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    assert run(site, "backup", str(kept)) == 0
    assert run(site, "backup", str(kept)) == 1
    assert "is not empty" in capsys.readouterr().err
    assert run(site, "restore", str(kept)) == 1
    assert "has a store already" in capsys.readouterr().err
    (site / "pseudonyms.key").write_text("x" * 40)
    assert run(site, "restore", str(kept)) == 1
    assert "is another file" in capsys.readouterr().err
    assert (site / "pseudonyms.key").read_text() == "x" * 40


def test_a_backup_that_was_changed_is_not_restored(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    assert run(site, "backup", str(kept)) == 0
    shutil.rmtree(site)
    copied = next((kept / "store").rglob("*.parquet"))
    content = copied.read_bytes()
    copied.write_bytes(content + b"?")
    assert run(site, "restore", str(kept)) == 1
    assert "not what was kept" in capsys.readouterr().err
    copied.write_bytes(content)
    record = json.loads((kept / "backup.json").read_text())
    record["files"][0]["kept"] = "../outside"
    (kept / "backup.json").write_text(json.dumps(record))
    assert run(site, "restore", str(kept)) == 1
    assert "is not a path within the backup" in capsys.readouterr().err
    assert not site.exists()


def test_a_catalogue_in_postgresql(
    site: Path, tmp_path: Path, postgres_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = new_database(postgres_server), new_database(postgres_server)

    def configure(url: str) -> None:
        path = site / "netwatch.yaml"
        path.write_text(f"version: 1\nstore: {{path: facts, catalogue: '{url}'}}\n")

    configure(first)
    assert run(site, "scan", *CAPTURES, "-q", "--store") == 0
    before = query(site, capsys)
    kept = tmp_path / "kept"
    assert run(site, "backup", str(kept)) == 0
    # A new machine: another database, and none of the files.
    configure(second)
    shutil.rmtree(site / "facts")
    record = json.loads((kept / "backup.json").read_text())
    record["files"] = [each for each in record["files"] if not each["place"]]
    (kept / "backup.json").write_text(json.dumps(record))
    assert run(site, "restore", str(kept)) == 0
    assert query(site, capsys) == before
    assert run(site, "restore", str(kept)) == 1
    assert "has tables already" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_without_the_extra_it_is_named(command: str, tmp_path: Path) -> None:
    """Nothing of it is imported before that is known, or there would be a traceback."""
    script = f"""
import importlib.util, sys
names = ("sqlalchemy", "duckdb", "pyarrow", "fsspec")
sys.modules.update(dict.fromkeys(names))
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in names else find(name, *rest)
from netwatch.cli import main
sys.exit(main([{command!r}, {str(tmp_path / "kept")!r}]))
"""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert ran.returncode == 2, ran.stderr
    assert f"netwatch: {command}: a store needs an extra: {install_command('store')}" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "kept").exists()
