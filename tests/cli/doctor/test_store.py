"""The checks of a store: its folder, its catalogue, its compaction, and the room on the disk."""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from support.diagnosed import brief, files, findings, of
from support.made_store import store_names
from support.paths import PCAPS
from support.ports import free_port
from support.temporary import leave_temporary

from netwatch.cli.doctor import finding as places
from netwatch.cli.doctor import store
from netwatch.core.installing import install_command
from netwatch.store import catalogue_tables
from netwatch.store.catalogue import FileRow
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

HERE = "store: {path: store}\nretention: {observations: 30d, personal: 7d}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the names of a capture."""
    folder = tmp_path_factory.mktemp("made") / "store"
    options = StoreOptions(str(folder))
    with open_catalogue(options, create=True) as catalogue:
        store_names(catalogue, options, [PCAPS / "dns-over-tcp.pcap"])
    return folder


@pytest.fixture(autouse=True)
def _temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other runs on this machine have left is none of these tests' business."""
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("temporary")))


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "store")
    return tmp_path


def change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "store" / "catalogue.sqlite")) as database:
        database.execute(statement)
        database.commit()


def test_without_a_store_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert findings(store.check, tmp_path, "") == []


def test_temporary_files_that_a_killed_run_left_are_shown(folder: Path) -> None:
    left = leave_temporary(folder / "store")
    found = of(findings(store.check, folder, HERE), "temporary")
    assert found.text == f"{folder}/store: runs that were killed left 1 folder"
    assert left.exists()


def test_a_store_that_is_well_is_left_as_it_is(folder: Path) -> None:
    before = files(folder / "store")
    found = findings(store.check, folder, HERE)
    assert brief(found) == ["ok store", "ok retention", "ok catalogue", "ok landing", "ok room"]
    catalogue = of(found, "catalogue").text
    assert f"schema {catalogue_tables.SCHEMA_VERSION}, format" in catalogue
    assert "1 run" in catalogue
    assert "every file is compacted" in of(found, "landing").text
    assert files(folder / "store") == before


def test_how_long_is_kept_has_to_be_written(folder: Path) -> None:
    said = of(findings(store.check, folder, HERE), "retention").text
    assert said == "observations 30 days, incidents for ever, evidence for ever, personal 7 days"
    silent = of(findings(store.check, folder, "store: {path: store}\n"), "retention")
    assert (silent.level, silent.text) == (
        "warn",
        "nothing is ever deleted: 'retention' is not written",
    )
    written = "store: {path: store}\nretention: {observations: forever}\n"
    assert of(findings(store.check, folder, written), "retention").level == "ok"


def test_no_store_yet(tmp_path: Path) -> None:
    found = findings(store.check, tmp_path, HERE)
    assert brief(found) == ["ok store", "ok retention", "warn catalogue", "ok room"]
    assert "does not exist yet, and can be created" in found[0].text
    assert not (tmp_path / "store").exists()


def test_a_store_of_an_older_netwatch_is_not_migrated(folder: Path) -> None:
    change(folder, f"PRAGMA user_version = {catalogue_tables.SCHEMA_VERSION - 1}")
    before = files(folder / "store")
    found = findings(store.check, folder, HERE)
    assert of(found, "catalogue").level == "warn"
    assert "the next command that opens the store upgrades it" in of(found, "catalogue").text
    assert files(folder / "store") == before


def test_a_store_of_a_newer_netwatch(folder: Path) -> None:
    change(folder, f"PRAGMA user_version = {catalogue_tables.SCHEMA_VERSION + 1}")
    finding = of(findings(store.check, folder, HERE), "catalogue")
    assert finding.level == "bad"
    assert "was written by a newer netwatch" in finding.text


def test_files_of_a_newer_format(folder: Path) -> None:
    change(folder, "UPDATE store SET format = 99")
    finding = of(findings(store.check, folder, HERE), "catalogue")
    assert (finding.level, finding.todo) == ("bad", ("update netwatch",))


def test_another_file_in_the_place_of_the_catalogue(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "catalogue.sqlite").write_text("a shopping list")
    assert of(findings(store.check, tmp_path, HERE), "catalogue").level == "bad"


def test_files_that_nobody_compacts(folder: Path) -> None:
    old = time.time_ns() - 5 * 3600 * 10**9
    rows = [
        FileRow(f"observation/{n}.parquet", "observation", "2023-03-20", None, 1, 9, 0, 1, old, "x")
        for n in range(3)
    ]
    with open_catalogue(StoreOptions(str(folder / "store"))) as catalogue:
        catalogue.register_files(rows)
    finding = of(findings(store.check, folder, HERE), "landing")
    assert (finding.level, finding.todo) == ("warn", ("netwatch store compact",))
    assert "to compact, the oldest since" in finding.text


def test_a_file_of_another_user_cannot_be_written_by_the_service(folder: Path) -> None:
    if places.os.geteuid():
        pytest.skip("only root gives files away")
    shutil.chown(folder / "store", "nobody")
    finding = of(findings(store.check, folder, HERE), "store")
    assert finding.level == "bad"
    assert "the service cannot write it" in finding.text
    assert finding.todo[0].startswith("chown --reference=")


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    assert of(findings(store.check, tmp_path, HERE), "store").level == "bad"


@pytest.mark.parametrize(("free", "level"), [(10**6, "bad"), (10 * 10**9, "warn"), (10**13, "ok")])
def test_room(folder: Path, free: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "free", lambda _: free)
    monkeypatch.setattr(store, "daily_rate", lambda *_: 10**9)
    finding = of(findings(store.check, folder, HERE), "room")
    assert finding.level == level
    if level == "warn":
        assert finding.text == "10.0 GB free, 1.0 GB a day: enough for 10 days"


def test_the_rate_is_that_of_the_last_complete_days() -> None:
    today = date(2026, 3, 10)
    sizes = {"2026-03-10": 999, "2026-03-09": 10, "2026-03-08": 30, "2020-01-01": 10**9}
    assert store.daily_rate(sizes, today) == 20
    assert store.daily_rate({"2020-01-01": 10**9}, today) == 0


def test_what_is_not_installed_is_said_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store.importlib.util.find_spec
    monkeypatch.setattr(
        store.importlib.util,
        "find_spec",
        lambda name: None if name in ("psycopg", "s3fs") else real(name),
    )
    server = "catalogue: 'postgresql://u@db.example/netwatch'"
    (finding,) = findings(store.check, tmp_path, f"store: {{path: store, {server}}}\n")
    assert finding.text.endswith(f"needs an extra: {install_command('postgres')}")
    monkeypatch.setattr(
        store.importlib.util, "find_spec", lambda name: None if name == "s3fs" else real(name)
    )
    (finding,) = findings(store.check, tmp_path, f"store: {{path: 's3://b/x', {server}}}\n")
    assert finding.text.endswith(f"needs an extra: {install_command('s3')}")
    monkeypatch.setattr(store.importlib.util, "find_spec", lambda name: None)
    (finding,) = findings(store.check, tmp_path, HERE)
    assert finding.text == f"a store needs an extra: {install_command('store')}"


@pytest.fixture
def nothing_listens(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    s3fs = pytest.importorskip("s3fs")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    yield f"postgresql://user:hunter2@127.0.0.1:{free_port()}/netwatch"
    s3fs.S3FileSystem.clear_instance_cache()


def test_servers_that_do_not_answer(tmp_path: Path, nothing_listens: str) -> None:
    found = findings(
        store.check, tmp_path, f"store: {{path: 's3://bucket/x', catalogue: '{nothing_listens}'}}\n"
    )
    assert brief(found) == ["bad store", "warn retention", "bad catalogue"]
    assert "refused" in of(found, "catalogue").text
    assert "hunter2" not in repr(found)


def test_a_server_that_says_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    monkeypatch.setattr(store, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/netwatch"
        began = time.monotonic()
        found = findings(store.check, tmp_path, f"store: {{path: store, catalogue: '{url}'}}\n")
        took = time.monotonic() - began
    assert of(found, "catalogue").text == "no answer within 0.3 s"
    assert took < 5


def test_postgresql_and_s3(tmp_path: Path, postgres_url: str, s3_url: str) -> None:
    text = f"store: {{path: '{s3_url}', catalogue: '{postgres_url}'}}\n"
    found = findings(store.check, tmp_path, text)
    assert brief(found) == ["ok store", "warn retention", "warn catalogue"]
    options = StoreOptions(s3_url, postgres_url)
    with open_catalogue(options, create=True) as catalogue:
        store_names(catalogue, options, [PCAPS / "dns-over-tcp.pcap"])
    found = findings(store.check, tmp_path, text)
    assert brief(found) == ["ok store", "warn retention", "ok catalogue", "ok landing"]
